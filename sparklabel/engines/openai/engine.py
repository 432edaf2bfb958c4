"""The openai engine: any endpoint that speaks OpenAI's chat completions.

In: prompts as `TextTokenizer` makes them. Out: scores and texts. Each row can fail alone: a request costs time and
often money, so that none is repeated because of another row. A problem of every request (the key, the model's name, the
response format) raises an error.
"""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.engines.base import Completion, GenerationRequest, RowScores, RowStatus, ScoringRequest
from sparklabel.engines.openai.address import DEFAULT_URL, host
from sparklabel.engines.openai.choice_logprobs import check_choices
from sparklabel.engines.openai.messages import SHOWN, Choices, Reply, failure, read_reply, schema_form
from sparklabel.engines.openai.text_tokenizer import TextTokenizer, as_text, neutralized
from sparklabel.engines.options import OpenAIOptions
from sparklabel.errors import ModelError, SetupError, SparklabelError
from sparklabel.label_trie import TokenPath
from sparklabel.labels import status
from sparklabel.redaction import printable
from sparklabel.texts import counted

if TYPE_CHECKING:
    import openai

Form = Callable[[], dict[str, Any]]
"""Makes the part of a request that demands a form of answers. It is called again after the endpoint has refused a
part."""

_TOP_LOGPROBS = 20
"""How many likely tokens are requested at each position: OpenAI's limit, and vLLM's default limit."""
_NEGOTIABLE = ("top_logprobs", "logprobs", "temperature", "max_tokens", "minLength", "maxLength")
"""Parameters, and keywords of schemas, that some endpoints refuse. They are then left out."""
_FILTERED = ("content_filter", "content_policy_violation")
"""Errors that are due to a row's text. They would occur again."""
_TOO_LONG = ("maximum context length", "maximum model length", "prompt is too long", "available context size")
"""Messages about a prompt that does not fit, from OpenAI, vLLM, Anthropic and llama.cpp."""
_RESPONSE_FORMATS = ("response_format", "json_schema", "structured_outputs")
_BROKEN_REPLIES = (ValueError, RecursionError, LookupError, TypeError, AttributeError)
"""What reading a reply raises that is not what the API promises: no JSON, no UTF-8, nested without end, of another
shape."""
_FAILURES_IN_A_ROW = 32
_FORBIDDEN_IN_A_ROW = 8
"""So many HTTP 403 in a row are due to the key. Fewer may come from a filter that rejects the text of single rows."""


class OpenAIEngine:
    """Sends `concurrency` requests at a time, one per row, with greedy decoding. Remembers what the endpoint has
    refused."""

    def __init__(self, model: str, **options: Any) -> None:
        """`model` is the name at the endpoint; the options are those of `OpenAIOptions`. Raises SetupError if the
        client or the key is missing."""
        chosen = OpenAIOptions(**options)
        self.tokenizer = TextTokenizer(chosen.context)
        self._model, self._host, self.structured = model, host(chosen.base_url), chosen.structured
        self._timeout = chosen.timeout
        self._extra: dict[str, Any] = json.loads(chosen.extra_body)
        self._key = _key(chosen.api_key_env, chosen.base_url)
        self._client = _client(self._key or "none", chosen.base_url, chosen.timeout, chosen.max_retries)
        # Several batches may be under way: together they have this many requests out.
        self._pool = ThreadPoolExecutor(chosen.concurrency)
        self._refused: set[str] = set()
        self._failures = self._forbidden = 0

    def close(self) -> None:
        """Closes the connections."""
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def score(self, request: ScoringRequest) -> NDArray[np.float32]:
        return self.score_rows(request).logits

    def score_rows(self, request: ScoringRequest) -> RowScores:
        """Raises TaskError if the choices are several questions or too many; SetupError or ModelError if every request
        would fail."""
        check_choices(request.trie)
        if not request.trie.option_tokens:  # one choice: there is nothing to ask
            nothing = np.zeros((len(request.rows), 0), dtype=np.float32)
            return RowScores(nothing, (None,) * len(request.rows))
        choices = Choices(request.trie, self.structured)
        replies = self._ask_all(
            request.prefix, request.rows, lambda: choices.form, choices.max_tokens, _TOP_LOGPROBS
        )
        read = [choices.read(reply) for reply in replies]
        logits = np.array([row for row, _ in read], dtype=np.float32)
        return RowScores(
            logits.reshape(len(read), len(request.trie.option_tokens)),
            tuple(row_status for _, row_status in read),
        )

    def generate(self, request: GenerationRequest) -> list[Completion]:
        """Raises SetupError or ModelError if every request would fail."""
        schema = None if request.schema is None else json.loads(request.schema)

        def form() -> dict[str, Any]:
            return {} if schema is None else schema_form(schema, self.structured, self._refused)

        replies = self._ask_all(request.prefix, request.rows, form, request.max_tokens, 0)
        return [
            Completion(r.text, r.ends, tuple(t.log_p for t in r.tokens), r.finished, r.row_status)
            for r in replies
        ]

    def _ask_all(
        self, prefix: TokenPath, rows: Sequence[TokenPath], form: Form, max_tokens: int, top_logprobs: int
    ) -> list[Reply]:
        # An endpoint that was down is retried, with a few rows at a time.
        self._failures = min(self._failures, _FAILURES_IN_A_ROW)
        trusted = as_text(prefix)
        fatal: list[SparklabelError] = []

        def asked(row: TokenPath) -> Reply:
            if fatal:  # every request would fail, so no more are sent
                raise fatal[0]
            try:
                return self._ask(trusted, as_text(row), form, max_tokens, top_logprobs)
            except SparklabelError as error:
                fatal.append(error)
                raise

        return list(self._pool.map(asked, rows))

    def _ask(self, trusted: str, row: str, form: Form, max_tokens: int, top_logprobs: int) -> Reply:
        if self._failures > _FAILURES_IN_A_ROW:
            return failure(status.ENGINE_ERROR, "not sent: too many requests in a row had failed")
        row, imitations = neutralized(row)
        reply = self._reply(trusted + row, form, max_tokens, top_logprobs)
        if reply.failed:
            self._failures += reply.row_status is not None and reply.row_status.status in status.RETRYABLE
            return reply
        self._failures = self._forbidden = 0
        if not imitations:
            return reply
        error = f"{counted(imitations, 'imitation')} of special tokens in the row neutralized"
        return Reply(reply.text, reply.tokens, reply.finished, RowStatus(status.OK, error))

    def _reply(self, message: str, form: Form, max_tokens: int, top_logprobs: int) -> Reply:
        import openai

        try:
            return read_reply(self._send(message, form, max_tokens, top_logprobs))
        except openai.APITimeoutError:
            return failure(status.TIMEOUT, f"no answer within {self._timeout:g} seconds")
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            self._forbidden += 1
            if error.status_code == 403 and self._forbidden <= _FORBIDDEN_IN_A_ROW:
                return failure(status.ENGINE_ERROR, self._message_of(error))
            raise SetupError(
                f"{self._host} rejects the key: HTTP {error.status_code}.",
                hint="api_key_env= must name the key's variable (for OpenAI: OPENAI_API_KEY), set on every executor.",
            ) from None
        except openai.NotFoundError as error:
            raise ModelError(
                f"{self._host} does not know the model {self._model!r}: {self._message_of(error)}",
                hint="model= is the model's name at the endpoint; base_url= mostly ends in /v1.",
            ) from None
        except openai.APIStatusError as error:
            if _is_too_long(error):
                return failure(status.TOO_LONG, self._message_of(error))
            if error.code in _FILTERED:
                return failure(status.INVALID_OUTPUT, self._message_of(error))
            if error.status_code in (400, 422) and any(
                name in _beginning(error) for name in _RESPONSE_FORMATS
            ):
                raise SetupError(
                    f"{self._host} does not support this response format: {self._message_of(error)}",
                    hint="Try structured='vllm' (structured_outputs) or 'json_schema' (response_format).",
                ) from None
            return failure(status.ENGINE_ERROR, self._message_of(error))
        except openai.APIConnectionError as error:
            return failure(status.ENGINE_ERROR, f"no connection to {self._host}: {self._message_of(error)}")
        except _BROKEN_REPLIES as error:
            return failure(status.ENGINE_ERROR, f"the reply cannot be read: {type(error).__name__}")
        except openai.APIError as error:
            return failure(status.ENGINE_ERROR, f"{type(error).__name__}: {self._message_of(error)}")

    def _send(self, message: str, form: Form, max_tokens: int, top_logprobs: int) -> Any:
        """The client's record of the completion. Parameters that the endpoint refuses are left out from then on."""
        import openai

        while True:
            before = frozenset(self._refused)
            body = self._body(message, form, max_tokens, top_logprobs)
            try:
                create: Any = self._client.chat.completions.create
                return create(model=body.pop("model"), messages=body.pop("messages"), extra_body=body)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                refused = _refused_in(error)
                if refused <= before:
                    raise
                self._refused.update(refused)

    def _body(self, message: str, form: Form, max_tokens: int, top_logprobs: int) -> dict[str, Any]:
        refused = set(self._refused)
        limit = "max_completion_tokens" if "max_tokens" in refused else "max_tokens"
        body: dict[str, Any] = {"model": self._model, "messages": [{"role": "user", "content": message}]}
        body |= {limit: max_tokens, "temperature": 0.0, "logprobs": True, **form()}
        if top_logprobs and "logprobs" not in refused:
            body["top_logprobs"] = top_logprobs
        return {name: part for name, part in body.items() if name not in refused} | self._extra

    def _message_of(self, error: Exception) -> str:
        """The endpoint's message, shortened, without the key and without control characters."""
        code = getattr(error, "status_code", None)
        body = getattr(error, "body", None)
        text = (
            body["message"] if isinstance(body, dict) and "message" in body else getattr(error, "message", "")
        )
        shown = str(text).replace(self._key, "***") if self._key else str(text)
        message = printable(" ".join(shown.split()))[:SHOWN]
        return message if code is None else f"HTTP {code}: {message}"


def _refused_in(error: "openai.APIStatusError") -> set[str]:
    """The optional parameter that the endpoint refuses, by its message. A message about the prompt's length names
    none."""
    if _is_too_long(error):
        return set()
    places = (str(error.param or ""), _beginning(error))
    named = next((name for text in places for name in _NEGOTIABLE if name in text), None)
    return {named} if named else set()


def _beginning(error: "openai.APIStatusError") -> str:
    """The beginning of the endpoint's message. Some endpoints echo the request after it, with the row's text."""
    body = error.body
    return str(body["message"] if isinstance(body, dict) and "message" in body else error.message)[:SHOWN]


def _is_too_long(error: "openai.APIStatusError") -> bool:
    if error.status_code == 413 or error.code == "context_length_exceeded":
        return True
    return error.status_code in (400, 422) and any(words in _beginning(error).lower() for words in _TOO_LONG)


def _key(variable: str | None, base_url: str) -> str:
    """The key in the environment, or an empty text. OpenAI's key goes to OpenAI only; another host gets the key that
    was named for it."""
    if variable is None and host(base_url) == host(DEFAULT_URL):
        variable = "OPENAI_API_KEY"
    key = os.environ.get(variable, "").strip() if variable else ""
    if variable and not key:
        raise SetupError(
            f"The environment variable {variable} is not set.",
            hint="It must hold the endpoint's key, on the driver and on every executor.",
        )
    return key


def _client(key: str, base_url: str, timeout: float, max_retries: int) -> "openai.OpenAI":
    try:
        import openai
    except ImportError:
        raise SetupError(
            "The openai engine needs the package openai.", hint="pip install 'sparklabel[openai]'"
        ) from None
    headers: dict[str, Any] = {}
    if host(base_url) != host(DEFAULT_URL):
        # The client would send everything else that the environment has for OpenAI to any host.
        own = ("OpenAI-Organization", "OpenAI-Project", *_custom_headers())
        headers = dict.fromkeys(own, openai.Omit()) | {"Authorization": f"Bearer {key}"}
    return openai.OpenAI(
        api_key=key, base_url=base_url, timeout=timeout, max_retries=max_retries, default_headers=headers
    )


def _custom_headers() -> list[str]:
    """The names of the headers that the client reads from the environment."""
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
    return [line.partition(":")[0].strip() for line in lines if ":" in line]
