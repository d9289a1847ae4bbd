"""Where a run lays its questions, and whoever helps with it takes them: a handful of Redis keys.

A question is taken by one process only, and only while the run's owner holds its lease and has reserved the call: so helpers can
never pass a cap. What was said stays until the run ends, also when its owner is killed: the successor finds it and pays nothing.

A field of the hash ``said`` is ``?WHO`` while WHO asks, then a reply or a failure as JSON. One of the hash ``due`` is the ticket of
the one call that was reserved for a question; whoever claims the question uses it up, however often the question lies open.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from meta_learning import errors
from meta_learning.errors import LLMUnavailable, MetaLearningError
from meta_learning.llm import Message, Reply, Request
from meta_learning.llm.cache import reply_from
from services.evolver.queueing import RESULT_TTL_S, lease_key

ASKING = "?"
# What was said by nobody in particular: a known answer, or that the question is open now.
_PUT = """
local said = redis.call('HGET', KEYS[1], ARGV[1])
if said then return said end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[4])
redis.call('EXPIRE', KEYS[3], ARGV[3])
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return false
"""
# 1: it lies open again; 0: somebody asks it, or has answered; -1: the broker knows nothing of it.
_PUT_AGAIN = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
if redis.call('HGET', KEYS[3], ARGV[1]) ~= ARGV[4] then return -1 end
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
"""
_CLAIM = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
local said = redis.call('HGET', KEYS[2], ARGV[2])
if said then return said == ARGV[3] and 1 or 0 end
if redis.call('HGET', KEYS[4], ARGV[2]) ~= ARGV[5] then return 0 end
redis.call('HDEL', KEYS[4], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
"""
# Also where nothing is known of the question: it was withdrawn, or a broker lost its last second. The call was paid for.
_SAY = """
local said = redis.call('HGET', KEYS[1], ARGV[1])
if said and said ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
"""
_WITHDRAW = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
"""

# A helper that was given up is not let in any more: another was asked for in its place.
_ARRIVE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SET', KEYS[2], '1', 'PX', ARGV[3])
return 1
"""
_EXPECTED, _CAME = "expected", "came"
# In one step: a helper that comes in the middle of it would be let in and have another in its place as well, and one whose
# successor nobody has written down would be missing for good where the broker's answer is lost.
_DISMISS = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
if ARGV[3] == '1' and redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[4])
  redis.call('EXPIRE', KEYS[1], ARGV[5])
end
return 1
"""


@dataclass(frozen=True, slots=True)
class Question:
    """A request on the desk. ``token`` is the lease's of the owner that reserved the call, ``ticket`` names the reservation."""

    digest: str
    token: str
    request: Request
    ticket: str

    def encode(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def decode(cls, text: str | bytes) -> Question:
        """Out of what `encode` made."""
        said = json.loads(text)
        return cls(said["digest"], said["token"], _request_from(said["request"]), said["ticket"])


class Desk:
    """The desk of one run, over an asyncio Redis client that gives bytes."""

    def __init__(self, connection: Any, loop: str, run_id: str) -> None:
        prefix = f"meta_learning:evolver:desk:{loop}:{run_id}"
        self._connection = connection
        self._lease, self._prefix = lease_key(loop, run_id), prefix
        self._open, self._said, self._told = f"{prefix}:open", f"{prefix}:said", f"{prefix}:told"
        self._due, self._helpers = f"{prefix}:due", f"{prefix}:helpers"
        self._put, self._put_again, self._claim, self._say, self._withdraw, self._arrive, self._dismiss = map(
            connection.register_script, (_PUT, _PUT_AGAIN, _CLAIM, _SAY, _WITHDRAW, _ARRIVE, _DISMISS)
        )

    async def put(self, question: Question) -> str | None:
        """Lay a question open; what is known of it already, None where it was not asked yet."""
        return _text(await self._put(**self._lay(question)))

    async def put_again(self, question: Question) -> bool:
        """Lay a question open that seems to lie nowhere; False where the broker has lost it: it may have been asked."""
        return int(await self._put_again(**self._lay(question))) >= 0

    async def take(self, wait_s: float) -> Question | None:
        """The next question, None after ``wait_s``; it is nobody's yet."""
        taken = await self._connection.blpop([self._open], timeout=wait_s)
        return Question.decode(taken[1]) if taken else None

    async def claim(self, who: str, question: Question) -> bool:
        """Whether a question is now ``who``'s to ask, or was already; not where it is another's or not to be asked any more."""
        keys = [self._lease, self._said, self._here(who), self._due]
        arguments = [question.token, question.digest, ASKING + who, RESULT_TTL_S, question.ticket]
        return bool(await self._claim(keys=keys, args=arguments))

    async def say(self, who: str, digest: str, said: str) -> bool:
        """Lay the answer down; refused where somebody else asks or has answered meanwhile."""
        keys, arguments = [self._said, self._told], [digest, ASKING + who, said, RESULT_TTL_S]
        return bool(await self._say(keys=keys, args=arguments))

    async def told(self, wait_s: float) -> str | None:
        """The digest of a question that was answered, None after ``wait_s``."""
        heard = await self._connection.blpop([self._told], timeout=wait_s)
        return _text(heard[1]) if heard else None

    async def known(self, digests: list[str]) -> dict[str, str | None]:
        """What is known of each of these questions."""
        found = await self._connection.hmget(self._said, digests) if digests else []
        return {digest: _text(said) for digest, said in zip(digests, found, strict=True)}

    async def withdraw(self, digest: str, said: str) -> bool:
        """Forget ``said``, if it is still what is known: the question may be asked again."""
        return bool(await self._withdraw(keys=[self._said], args=[digest, said]))

    async def is_empty(self) -> bool:
        """Whether no question waits to be taken."""
        return not await self._connection.llen(self._open)

    async def note_here(self, who: str, ttl_s: float) -> None:
        """``who`` lives, for ``ttl_s`` seconds more."""
        await self._connection.set(self._here(who), "1", px=round(ttl_s * 1000))

    async def expect(self, who: str) -> None:
        """Write down a helper that is about to be asked for."""
        await self._connection.hset(self._helpers, who, _EXPECTED)
        await self._connection.expire(self._helpers, RESULT_TTL_S)

    async def arrive(self, who: str, ttl_s: float) -> bool:
        """An expected helper is here, for ``ttl_s`` seconds at first; False where nobody expects it any more."""
        arguments = [who, _CAME, round(ttl_s * 1000)]
        return bool(await self._arrive(keys=[self._helpers, self._here(who)], args=arguments))

    async def helpers(self, token: str) -> dict[str, bool]:
        """The helpers of the owner of this lease, and whether they have come."""
        found = await self._connection.hgetall(self._helpers)
        named = {who.decode(): said.decode() == _CAME for who, said in found.items()}
        return {who: named[who] for who in sorted(named) if who.startswith(helper_name(token))}

    async def dismiss(self, who: str, successor: str | None, *, unless_here: bool) -> bool:
        """Whether ``who`` was among the helpers; not from now on, whatever it was asking is nobody's, and ``successor`` is expected.

        False, and nothing is done, also where it lives and is to be left then.
        """
        arguments = [who, successor or "", int(unless_here), _EXPECTED, RESULT_TTL_S]
        return bool(await self._dismiss(keys=[self._helpers, self._here(who)], args=arguments))

    async def note_gone(self, who: str) -> None:
        """``who`` will not say any more."""
        await self._connection.delete(self._here(who))

    async def is_here(self, who: str) -> bool:
        """Whether ``who`` lives."""
        return bool(await self._connection.exists(self._here(who)))

    async def owner(self) -> str | None:
        """The token of whoever owns the run now."""
        return _text(await self._connection.get(self._lease))

    async def clear(self) -> None:
        """Put everything away: the run has ended."""
        await self._connection.delete(self._open, self._said, self._told, self._due, self._helpers)

    def _lay(self, question: Question) -> dict[str, Any]:
        arguments = [question.digest, question.encode(), RESULT_TTL_S, question.ticket]
        return {"keys": [self._said, self._open, self._due], "args": arguments}

    def _here(self, who: str) -> str:
        return f"{self._prefix}:here:{who}"


def helper_name(token: str, own: str = "") -> str:
    """What a helper of the lease's owner calls itself."""
    return f"helper-{token}-{own}"


def answered(reply: Reply) -> str:
    """A reply as the desk keeps it."""
    return json.dumps({"reply": asdict(reply)}, ensure_ascii=False)


def refused(error: Exception) -> str:
    """An error as the desk keeps it."""
    said = {"error": type(error).__name__, "message": str(error)}
    about = {"retry_after_s": getattr(error, "retry_after_s", None), "billed": getattr(error, "billed", True)}
    return json.dumps(said | about, ensure_ascii=False)


def read(said: str) -> Reply | Exception:
    """A reply, or the error that was raised instead.

    >>> read(answered(Reply("yes", "any"))).text, read(refused(LLMUnavailable("busy", retry_after_s=2.0))).retry_after_s
    ('yes', 2.0)
    """
    found: Mapping[str, Any] = json.loads(said)
    if "reply" in found:
        return reply_from(found["reply"])
    kind = getattr(errors, found["error"], None)
    if not isinstance(kind, type) or not issubclass(kind, MetaLearningError):
        return RuntimeError(f"{found['error']}: {found['message']}")
    error = kind(found["message"])
    if isinstance(error, LLMUnavailable):
        error.retry_after_s = found["retry_after_s"]
    billed = found.get("billed", False)
    error.billed = (billed[0], billed[1]) if isinstance(billed, list) else billed
    return error


def _request_from(said: Mapping[str, Any]) -> Request:
    fields = dict(said) | {"messages": tuple(Message(**one) for one in said["messages"])}
    return Request(**fields | {"stop": tuple(said["stop"]), "labels": tuple(said["labels"])})


def _text(value: bytes | str | None) -> str | None:
    return value.decode() if isinstance(value, bytes) else value
