"""The linear probe over features made up here."""

import numpy as np

from sparklabel.probe.linear import fit_probe


def test_a_probe_finds_what_the_features_show():
    random = np.random.default_rng(0)
    answers = np.repeat([0, 2], 40)
    features = (random.normal(size=(80, 6)) + 3 * answers[:, None]).astype(np.float32)
    probe = fit_probe(features[::2], answers[::2, None], labels=3)
    log_p = probe.log_probabilities(features[1::2])
    assert (log_p.argmax(axis=1) == answers[1::2]).mean() > 0.95
    assert np.exp(log_p[:, 1]).max() < 1e-4


def test_a_probe_takes_more_labels_than_half_its_rows():
    """Warnings are errors here, and scikit-learn has one for this."""
    features = np.eye(24, 8, dtype=np.float32)
    probe = fit_probe(features, np.arange(24)[:, None] % 20, labels=20)
    assert probe.log_probabilities(features).shape == (24, 20)
