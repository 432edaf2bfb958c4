"""Which engine, with which options: what is refused before anything is loaded."""

import pytest

from sparklabel.engines import EngineSpec, engine_spec, open_engine
from sparklabel.errors import SetupError


def test_an_unknown_engine_or_option_is_named_and_not_worth_a_retry():
    with pytest.raises(SetupError, match="no engine 'gpt'") as caught:
        engine_spec("gpt", {})
    assert not caught.value.retryable
    with pytest.raises(SetupError, match=r"transformers engine has no option 'speed'.*\n.*batch_tokens"):
        engine_spec("auto", {"speed": "high"})


@pytest.mark.parametrize(
    ("option", "value"),
    [("dtype", "int8"), ("dtype", ["float32"]), ("threads", 0), ("threads", True), ("batch_tokens", "64"),
     ("batch_tokens", [64]), ("device", 0), ("device", {})],
)  # fmt: skip
def test_an_options_value_is_checked_before_anything_is_loaded(option, value):
    with pytest.raises(SetupError, match=f"{option}=.*\n.*{option} takes "):
        engine_spec("auto", {option: value})


def test_an_engine_without_its_files_is_not_worth_a_retry():
    with pytest.raises(SetupError, match="transformers engine needs a model") as caught:
        open_engine(EngineSpec("transformers"), "m", None, None)
    assert not caught.value.retryable


def test_good_options_make_a_spec_that_caches_can_hold():
    options = {"threads": 2, "dtype": "bfloat16", "device": "cuda:0", "batch_tokens": 4096}
    assert hash(engine_spec("auto", options)) == hash(engine_spec("transformers", options))


def test_a_device_that_is_not_there_is_named(tiny_model):
    with pytest.raises(SetupError, match="no device 'cuda:97'"):
        open_engine(engine_spec("transformers", {"device": "cuda:97"}), "m", tiny_model, None)


@pytest.mark.parametrize("options", [{"device": "cpu"}, {"engine_kwargs": '{"tensor_parallel_size": 2}'}])
def test_who_names_devices_shares_no_engine(options):
    name = "vllm" if "engine_kwargs" in options else "transformers"
    assert engine_spec(name, {}).is_shared(on_gpu=True)
    assert not engine_spec(name, options).is_shared(on_gpu=True)
    with pytest.raises(SetupError, match="names others"):
        engine_spec(name, {"shared": True} | options)
