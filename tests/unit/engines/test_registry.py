"""Which engine, with which options: what is refused before anything is loaded, and what travels."""

import subprocess
import sys

import pytest

from sparklabel.engines import (
    EngineSpec,
    FakeOptions,
    OpenAIOptions,
    TransformersOptions,
    VllmOptions,
    engine_spec,
    open_engine,
    option_names,
)
from sparklabel.errors import SetupError


def test_an_unknown_engine_is_named_and_not_worth_a_retry():
    with pytest.raises(SetupError, match="no engine 'gpt'") as caught:
        engine_spec("gpt", {})
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("engine", "options", "message"),
    [
        ("vlm", {}, "There is no engine 'vlm'; did you mean vllm?"),
        ("vllm", {"max_len": 9}, "The vllm engine has no option 'max_len'; did you mean max_model_len?"),
        (VllmOptions(), {"thread": 9}, "The vllm engine has no option 'thread'; did you mean threads?"),
    ],
)  # fmt: skip
def test_a_misspelled_engine_or_option_is_named_with_the_nearest_one(engine, options, message):
    with pytest.raises(SetupError) as caught:
        engine_spec(engine, options)
    assert caught.value.message == message


def test_an_unknown_option_is_answered_with_those_there_are():
    with pytest.raises(SetupError, match=r"transformers engine has no option 'speed'.*\n.*batch_tokens"):
        engine_spec("auto", {"speed": "high"})


def test_what_is_neither_a_name_nor_options_is_no_engine():
    with pytest.raises(SetupError, match="engine=5 is not an engine"):
        engine_spec(5, {})


@pytest.mark.parametrize(
    ("options", "pairs"),
    [
        (TransformersOptions(dtype="auto", threads=2), {"threads": 2, "dtype": "auto"}),
        (VllmOptions(gpu_memory_utilization=0.5, shared=True), {"gpu_memory_utilization": 0.5}),
        (OpenAIOptions(base_url="http://there/v1", timeout=60), {"base_url": "http://there/v1", "timeout": 60}),
        (FakeOptions(fail_on="x"), {"fail_on": "x"}),
    ],
)  # fmt: skip
def test_a_record_of_options_is_the_same_engine_as_its_keywords(options, pairs):
    spec = engine_spec(options, {})
    assert spec == engine_spec(options.engine, options.given)
    assert spec.options == tuple(sorted(pairs.items()))
    assert str(spec) == f"{options.engine}({', '.join(f'{k}={v!r}' for k, v in sorted(pairs.items()))})"


def test_keywords_win_over_a_record_of_options():
    spec = engine_spec(VllmOptions(max_model_len=1024, threads=1), {"threads": 2})
    assert dict(spec.options) == {"max_model_len": 1024, "threads": 2}


def test_an_option_that_is_none_was_not_given():
    assert engine_spec("vllm", {"max_model_len": None}) == EngineSpec("vllm")


def test_a_record_of_options_is_checked_as_keywords_are():
    with pytest.raises(
        SetupError, match=r"vllm engine cannot use threads=0\.\n  threads takes a whole number"
    ):
        VllmOptions(threads=0)


def test_the_names_of_an_engines_options_are_known():
    assert option_names("auto") == ("dtype", "device", "batch_tokens", "threads", "pruned_mass", "shared")
    assert "shared" not in option_names("openai")


def test_options_load_no_heavy_library():
    program = (
        "import sys, sparklabel as sl; sl.VllmOptions(), sl.OpenAIOptions(), sl.TransformersOptions(); "
        "print(sorted({'torch', 'transformers', 'vllm', 'openai', 'pyspark'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


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


def test_what_may_be_secret_is_told_apart_and_not_shown():
    shown = [
        str(engine_spec("openai", {"extra_body": body}))
        for body in ('{"api_key": "sk-1"}', '{"api_key": "sk-2"}')
    ]
    assert len(set(shown)) == 2
    assert not any("sk-" in one for one in shown)
