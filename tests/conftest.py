"""What tests of several rooms need: a tiny Llama with random weights (real files, loaded by the real code, in a
second), and one local Spark with Delta."""

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from sparklabel.cache_dir import cache_dir
from sparklabel.delta.session import spark_session
from sparklabel.models.references import EMBEDDED
from tests.jvm import SHARED

# Machines are shared: how long an example took says nothing.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: 4 layers, hidden 64, grouped queries, an untied head, one token a byte, `<end>` ends."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = tmp_path_factory.mktemp("tiny") / "model"
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<end>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=False, eos_token_id=0,
        bos_token_id=None, initializer_range=0.1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence encoder's folder, as sentence-transformers saves one: 2 layers, hidden 32, a token a letter."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "encoder"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate([*special, *letters])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = dict(
        zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True)
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(special) + len(letters), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, initializer_range=0.2,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [{"type": f"sentence_transformers.models.{kind}"} for kind in kinds]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache of the tests' own, so that their tiny adapters do not stay in the user's. What takes long to make comes
    from there, if it was made: the embedded model and Delta's jars."""
    users, own = cache_dir(), tmp_path_factory.mktemp("cache")
    (users / "jars").mkdir(parents=True, exist_ok=True)
    (own / "jars").symlink_to(users / "jars")
    (own / "models").mkdir(mode=0o700)
    for model in (users / "models").glob(f"{EMBEDDED}-*"):
        if model.suffix != ".lock":  # the folder, and the file with its hash
            (own / "models" / model.name).symlink_to(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARKLABEL_CACHE", str(own))
        yield own


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory):
    """An empty MLflow database. MLflow takes five seconds to make one, and none for a copy."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture(scope="session")
def new_mlflow_store(mlflow_database):
    """Makes an MLflow store in a folder: its address."""

    def make(folder):
        shutil.copy(mlflow_database, folder / "mlflow.db")
        return f"sqlite:///{folder}/mlflow.db"

    return make


@pytest.fixture(scope="session")
def spark_conf():
    """What the tests of a folder add to the session's settings."""
    return {}


@pytest.fixture(scope="session")
def spark(cache, tmp_path_factory, spark_conf):
    """The session: two slots, its tables in a temporary folder. `make mutants` names a server, to start Spark once."""
    session = spark_session(
        {}
        if "SPARK_REMOTE" in os.environ
        else {
            "spark.master": "local[2]",
            "spark.driver.memory": "2g",
            "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
            "spark.driver.extraJavaOptions": f"-XX:+UseSerialGC {SHARED}",
            # Small data: interpreting an expression beats compiling it (a pass in two thirds of the time).
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        }
        | spark_conf
    )
    yield session
    session.stop()
