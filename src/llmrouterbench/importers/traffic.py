"""Traffic logs of gateways, which are logged data: LiteLLM's spend log, Helicone's requests, vLLM-SR's router replay.

One model answered each request. Its score is feedback that the log holds (Helicone's rating, the outcomes of a replay),
or a column `score` that you add to the export; requests without one have none. What a cache answered has no cost of its
own, and a request whose text was not kept teaches nothing.
Sources: BerriAI/litellm (LiteLLM_SpendLogs), Helicone's export, vllm-project/semantic-router (pkg/routerreplay).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._messages import asked, instructed
from llmrouterbench.importers._samples import Glimpse, Record, Scores, answered, samples, seconds_of
from llmrouterbench.records import read_csv, read_json_file, read_lines

_TABLES = (".csv", ".json", ".jsonl")
_LITELLM, _HELICONE = ("request_id", "call_type", "spend"), ("request_body", "response_body")
_REPLAY = ("request_id", "selected_model", "decision")
_LISTED = ("object", "data", "has_more")
_DATASET = "served"
_KEPT = "keep them (LiteLLM: store_prompts_in_spend_logs; Helicone: --include-body; vLLM-SR: single records)"
_RATED = "add a column score, from 0 to 1, where you know it"


def recognises(source: Glimpse) -> bool:
    """Whether it holds requests of one of these gateways."""
    some = [*source.named("*.csv"), *source.named("*.json*")]
    return any(set(keys) <= source.keys(file) for file in some for keys in (_LITELLM, _HELICONE, _REPLAY, _LISTED))


def read_traffic(path: Path, options: Options) -> Imported:
    """Read one log or all of a folder. Raises ValueError where no request has a text, or none a score."""
    findings, scores = Findings(), Scores.of(path, options)
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix.lower() in _TABLES)
    imported = samples(_requests(path, files, scores, findings), path, options, findings, len(files))
    scores.check()
    return imported


def _requests(path: Path, files: Sequence[Path], scores: Scores, findings: Findings) -> Iterator[tuple[str, Record]]:
    requests = texts = scored = 0
    for file in files:
        for place, row in _rows(file):
            requests += 1
            record = {**_read(row, scores, file), "dataset": row.get("category") or _DATASET}
            if not record["query"].strip():
                findings.add("request whose text was not kept", "dropped", f"{file.name} {place}")
                continue
            texts, scored = texts + 1, scored + (record["score"] is not None)
            yield f"{file.name} {place}", record
    if not texts:
        raise ValueError(f"{path} must hold texts of requests, got none in {requests:,}; {_KEPT}")
    if not scored:
        raise ValueError(f"{path} must hold scores of some requests, got none in {requests:,}; {_RATED}")


def _rows(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if file.suffix.lower() == ".csv":
        rows: Iterator[Mapping[str, Any]] = read_csv(file).iter_rows(named=True)
        yield from ((f"record {number}", row) for number, row in enumerate(rows, 1))
    elif file.suffix.lower() == ".jsonl":
        yield from ((f"line {line}", row) for line, row in read_lines(file))
    else:
        found = read_json_file(file)
        listed = found["data"] if isinstance(found, dict) else found
        yield from ((f"record {number}", row) for number, row in enumerate(listed, 1))


def _read(row: Mapping[str, Any], scores: Scores, file: Path) -> dict[str, Any]:
    for keys, read in _READERS:
        if set(keys) <= row.keys():
            return read(row, scores, file)
    raise ValueError(f"{file} must hold requests of one gateway, got one with {', '.join(list(row)[:6])}; part them")


def _litellm(row: Mapping[str, Any], scores: Scores, file: Path) -> dict[str, Any]:
    request = _loaded(row.get("proxy_server_request"))
    messages = _loaded(row.get("messages")) or (request.get("messages") if isinstance(request, dict) else None)
    cached = str(row.get("cache_hit")).lower() == "true"
    return {
        "query": asked(messages),
        "system": instructed(messages),
        "model": row.get("model"),
        "score": _chosen({"score": row.get("score")}, scores, file),
        "cost": None if cached else _number(row.get("spend")),
        "tokens_in": _number(row.get("prompt_tokens")),
        "tokens_out": _number(row.get("completion_tokens")),
        "seconds": None if cached else _took(row),
        "reply": _reply(row.get("response")),
        "status": row.get("status"),
    }


def _helicone(row: Mapping[str, Any], scores: Scores, file: Path) -> dict[str, Any]:
    messages = _body(row).get("messages")
    given = {"score": row.get("score"), "feedback_rating": _truth(row.get("feedback_rating"))}
    return {
        "query": asked(messages),
        "system": instructed(messages),
        "model": row.get("model") or _body(row).get("model"),
        "score": _chosen(given, scores, file),
        "cost": _number(row.get("cost_usd")),
        "tokens_in": _number(row.get("prompt_tokens")),
        "tokens_out": _number(row.get("completion_tokens")),
        "seconds": seconds_of(_number(row.get("delay_ms"))),
        "reply": _reply(row.get("response_body")),
        "status": None if row.get("response_status") is None else str(row["response_status"]),
    }


def _replay(row: Mapping[str, Any], scores: Scores, file: Path) -> dict[str, Any]:
    given = {str(one.get("source")): one.get("score") for one in row.get("outcomes") or ()}
    cached = bool(row.get("from_cache"))
    dollars = row.get("currency") in (None, "", "USD")
    return {
        "query": asked(row.get("prompt") or _loaded(row.get("request_body"))),
        "model": row.get("selected_model"),
        "score": _chosen({"score": row.get("score"), **given}, scores, file),
        "cost": row.get("actual_cost") if dollars and not cached else None,
        "tokens_in": row.get("prompt_tokens"),
        "tokens_out": row.get("completion_tokens"),
        "seconds": None if cached else seconds_of(row.get("duration_ms")),
        "reply": _reply(row.get("response_body")),
        "status": None if row.get("response_status") is None else str(row["response_status"]),
    }


_READERS: tuple[tuple[tuple[str, ...], Callable[[Mapping[str, Any], Scores, Path], dict[str, Any]]], ...] = (
    (_LITELLM, _litellm),
    (_HELICONE, _helicone),
    (_REPLAY, _replay),
)


def _chosen(given: Mapping[str, Any], scores: Scores, file: Path) -> Any:
    """The score that counts of those that are there."""
    there = {name: value for name, value in given.items() if value is not None}
    chosen = scores.choose(list(there), file.name)
    return None if chosen is None else _number(there[chosen])


def _body(row: Mapping[str, Any]) -> Mapping[str, Any]:
    body = _loaded(row.get("request_body"))
    return body if isinstance(body, dict) else {}


def _loaded(value: Any) -> Any:
    """JSON in a text as its value; of what is none nothing."""
    try:
        return orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        return None


def _reply(value: Any) -> str | None:
    body = _loaded(value)
    choices = body.get("choices") if isinstance(body, dict) else None
    return answered(choices[0].get("message")) if choices else None


def _number(value: Any) -> Any:
    """A number that stands in a text; what is none stays, and is judged with its place."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _truth(value: Any) -> Any:
    """True and false, in a text too, as 1 and 0."""
    return {"true": 1.0, "false": 0.0}.get(str(value).lower(), value)


def _took(row: Mapping[str, Any]) -> Any:
    """Seconds of a call of LiteLLM, of which older logs hold begin and end alone."""
    if row.get("request_duration_ms") is not None:
        return seconds_of(_number(row["request_duration_ms"]))
    try:
        begin, end = (datetime.fromisoformat(str(row.get(name))) for name in ("startTime", "endTime"))
        return (end - begin).total_seconds()
    except (ValueError, TypeError):
        return None
