"""The linear probe over features made up here."""

import numpy as np

from sparklabel.probe.linear import LinearProbe, probe_layer


def test_a_probe_finds_what_the_features_show():
    random = np.random.default_rng(0)
    answers = np.repeat([0, 2], 40)
    features = (random.normal(size=(80, 6)) + 3 * answers[:, None]).astype(np.float32)
    probe = LinearProbe.fit(features[::2], answers[::2].tolist(), labels=3)
    assert (probe.probabilities(features[1::2]).argmax(axis=1) == answers[1::2]).mean() > 0.95
    assert probe.probabilities(features)[:, 1].max() == 0.0


def test_a_probe_reads_two_thirds_up():
    assert [probe_layer(depth) for depth in (30, 32, 1)] == [20, 21, 1]


def test_a_probe_takes_more_labels_than_half_its_rows():
    """Warnings are errors here, and scikit-learn has one for this."""
    features = np.eye(24, 8, dtype=np.float32)
    probe = LinearProbe.fit(features, [n % 20 for n in range(24)], labels=20)
    assert probe.probabilities(features).shape == (24, 20)
