"""What a reply says outside its thoughts. A thought is what a reply begins with, not a word that occurs in it.

The tags and channels are those of models and servers that separate thoughts: <think> and its kin under any maker's
prefix, [THINK], ◁think▷, <|begin_of_thought|>, <|START_THINKING|>, the channels of Harmony and Gemma, Granite's and
Apriel's headings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

_NAME = r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|chain_of_thought|inner_monologue|scratchpad)"
_TAG = re.compile(
    r"<(?=[/a-zA-Z|][^<>\n]{2,90}>)(?i:"
    rf"(?P<close>/?)(?:[a-z]{{1,12}}[:_])?(?:{_NAME}|antthinking|think_fast(?:er)?)(?:\s[^<>\n]{{0,60}})?>"
    rf"|\|(?P<slash>/?)(?:(?P<when>begin|start|end)_(?:of_)?)?{_NAME}(?:_(?P<then>start|end))?\|>"
    r"|\|inner_(?P<inner>prefix|suffix)\|>|unused9(?P<unused>[45])>|\|channel>(?:thought|analysis)?|(?P<gemma>channel\|>))"
    r"|\[(?P<bracket>/?)THINK\]|\[(?P<final>BEGIN FINAL RESPONSE)\]|◁(?P<kimi>/?)think▷"
)
_CLOSING = {"/", "end", "suffix", "5", "channel|>", "begin final response"}
_MOST = 2_000
"""Tags of a reply that are looked at; a reply with more of them is junk."""
_SAID = re.compile(r"\S")
_NEAR = 300
"""Characters around a tag that say whether it is mentioned or set."""
_HARMONY = r"<\|channel\|>\s*{}\b[^<\n]{{0,60}}(?:<\|constrain\|>[^<\n]{{0,20}})?<\|message\|>"
_HARMONY_START = re.compile(r"\s*(?:<\|start\|>[^<\n]{0,40})?" + _HARMONY.format("(?:analysis|commentary|final)"))
_HARMONY_FINAL = re.compile(r"(?:<\|start\|>assistant\s*)?" + _HARMONY.format("final"))
_HARMONY_END = re.compile(r"<\|(?:end|return|start|call)\|>")
_BARE_HARMONY = re.compile(r"\s*analysis(?=[A-Z\"'*\\$(\d])")
"""How a Harmony thought begins where the server dropped its special tokens."""
_HEADED = re.compile(
    r"\s*(?:\*\*)?(?:Here(?: is|'s|’s) my thought process|Here are my reasoning steps|Thought process):(.*)", re.DOTALL
)
_HEADED_END = re.compile(r"(?:\*\*)?Here(?: is|'s|’s) my response:(?:\*\*)?|\[BEGIN FINAL RESPONSE\]")


def visible(reply: str) -> str:
    """What a reply says outside its thoughts; "" where it is a thought that was never closed.

    A thought stands where the reply, a line or a sentence begins; a tag inside code, quotes or a sentence is text. A
    closing tag without an opening one (the chat template holds it) ends a thought that began with the reply.

    >>> visible("<think>Is it A?</think>Answer: B"), visible("<|channel|>analysis<|message|>Is it A?<|end|>")
    ('Answer: B', '')
    >>> visible("Is it A?</think>Answer: B"), visible("<think>Answer: B"), visible("Models write <think> first.")
    ('Answer: B', '', 'Models write <think> first.')
    """
    channels = _harmony(reply)
    if channels is not None:
        return channels
    hinted = "<" in reply or "◁" in reply or "THINK]" in reply or "[BEGIN FINAL" in reply
    tags = [_Tag.of(found) for found in islice(_TAG.finditer(reply), _MOST)] if hinted else []
    if tags:
        _mark_mentions(reply, tags)
        return _outside(reply, tags)
    headed = _HEADED.match(reply)
    return _HEADED_END.split(headed[1], maxsplit=1)[-1] if headed and _HEADED_END.search(headed[1]) else reply


def _harmony(reply: str) -> str | None:
    """The final channel of a reply in Harmony's format, "" where it has none; None for any other reply."""
    if "<|channel|>" in reply:
        final = list(islice(_HARMONY_FINAL.finditer(reply), _MOST))
        if _HARMONY_START.match(reply) or any(found[0].startswith("<|start|>") for found in final):
            return _HARMONY_END.split(reply[final[-1].end() :], maxsplit=1)[0] if final else ""
    if _BARE_HARMONY.match(reply):
        return reply.rpartition("assistantfinal")[2] if "assistantfinal" in reply else ""
    return None


@dataclass
class _Tag:
    """A tag: where it stands, whether it closes a thought, its kind without that, and whether it is only mentioned."""

    start: int
    end: int
    closes: bool
    kind: str
    mentioned: bool = False
    alone: bool = False

    @classmethod
    def of(cls, found: re.Match[str]) -> _Tag:
        marks = {(mark or "").lower() for mark in found.groups()}
        closes = bool(marks & _CLOSING)
        kind = re.sub(r"[^a-z]|begin|start|end|of|prefix|suffix", "", found[0].lower()).replace("thinking", "think")
        return cls(found.start(), found.end(), closes, kind)


def _mark_mentions(reply: str, tags: Sequence[_Tag]) -> None:
    """Say of every tag whether it is mentioned: in a code block or span, in quotes, or as a word of a sentence."""
    fences = [found.start() for found in re.finditer(r"(?m)^[ \t]*```", reply)]
    passed = 0
    for tag in tags:
        while passed < len(fences) and fences[passed] < tag.start:
            passed += 1
        before = reply[max(0, tag.start - _NEAR) : tag.start].rpartition("\n")[2]
        after = reply[tag.end : tag.end + _NEAR].partition("\n")[0]
        tag.alone = not before.strip() and not after.strip()
        fenced = passed % 2 == 1 == (len(fences) - passed) % 2
        tag.mentioned = fenced or (not tag.alone and (_quoted(before, after) or _in_sentence(tag, before, after)))


def _quoted(before: str, after: str) -> bool:
    return (
        any(before.count(sign) % 2 == 1 and sign in after for sign in '`"')
        or bool(re.search(r"(?<!\w)'[^']*$", before) and "'" in after)
        or bool(re.search(r"[“‘「『][^”’」』]*$", before) and re.search(r"[”’」』]", after))
    )


def _in_sentence(tag: _Tag, before: str, after: str) -> bool:
    if not tag.closes:
        return bool(re.search(r"[^\s.!?:…。！？：)>\]*]\s+$", before))
    return bool(re.search(r"[\w,;]\s+$", before) and re.match(r"\s*[a-z,;.)]", after))


def _outside(reply: str, tags: Sequence[_Tag]) -> str:
    pieces: list[str] = []
    start = at = 0
    mentions = 0
    endless: set[str] = set()
    thought = False
    while at < len(tags):
        tag = tags[at]
        at += 1
        if tag.closes:
            if tag.mentioned or (mentions and not tag.alone):
                mentions -= mentions > 0
            elif not thought or _SAID.search(reply, tag.end):
                pieces.clear()
                start, thought = tag.end, True
            continue
        if tag.mentioned:
            mentions += 1
            continue
        first = not reply[start : tag.start].strip() and not "".join(pieces).strip()
        end = None if tag.kind in endless else _end_of(tags, at, tag.kind, first)
        if end is not None:
            pieces.append(reply[start : tag.start])
            start, at, thought = tags[end].end, end + 1, True
        elif first:
            return ""
        else:
            endless.add(tag.kind)
    return "".join([*pieces, reply[start:]])


def _end_of(tags: Sequence[_Tag], at: int, kind: str, first: bool) -> int | None:
    """Which tag closes a thought that was opened before tag `at`; one that is only mentioned where no other does."""
    closing = [number for number in range(at, len(tags)) if tags[number].closes]
    for accepted in (
        lambda tag: not tag.mentioned and tag.kind == kind,
        lambda tag: first and tag.kind == kind,
        lambda tag: first and not tag.mentioned,
    ):
        found = next((number for number in closing if accepted(tags[number])), None)
        if found is not None:
            return found
    return None
