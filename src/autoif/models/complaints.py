"""Finds what a server's complaint is about from its words, in several languages: money, load, the key, the prompt.

The status alone doesn't tell: a provider's 429 or 402 may arrive through a gateway as 400, 403, 500 or even 200.
"""

import re
from enum import StrEnum

from autoif.models.dialect import is_too_long


class ComplaintKind(StrEnum):
    """What a complaint is about."""

    MONEY = "money"
    """The account has no credit; nothing works until somebody pays."""
    BUSY = "busy"
    """Too many requests; later ones will be taken."""
    EXHAUSTED = "exhausted"
    """The quota of the day is spent."""
    BROKEN = "broken"
    """Something broke on the way of the request; another try may succeed."""
    LOADING = "loading"
    """The server is still reading its model."""
    CONTENT = "content"
    """The content of this prompt is refused."""
    KEY = "key"
    """The API key is refused."""
    LENGTH = "length"
    """This prompt is too long."""
    OTHER = "other"


_URL = re.compile(r"https?://\S+")
"""Addresses are ignored: a link to …/settings/billing says nothing about the cause."""
_MONEY = re.compile(
    r"insufficient[_ ](?:user[_ ])?(?:quota|balance|funds|credits?)|credit balance|out of (?:credits?|funds|money)"
    r"|billing"
    r"|payment required|(?:add|buy|purchase) (?:more )?credits? to (?:continue|access)|overdue|arrear(?:s|age)"
    r"|recharge|top up|spend(?:ing)? limit|budget limit|past due|quota is not enough|key limit exceeded"
    r"|used all available credits|account is in good standing"
    r"|(?:balance|credits?|funds) (?:is|are|has been|have been) (?:insufficient|too low|exhausted|used up)"
    r"|not[_ ]enough[_ ](?:balance|credits?|funds)|ha(?:ve|s) (?:no|any) (?:balance|credits?|funds)"
    r"|no (?:balance|credits?|funds) (?:left|remain|available)|account balance|included credits"
    r"|payment method|free (?:tier|trial|quota).{0,60}(?:exhaust|ended|expired|used up)"
    r"|subscription (?:has |is )?(?:expired|ended|inactive)|ExceededBudget|budget (?:has been |is )?exceeded"
    r"|exceeded (?:your|their|its|the) budget|余额|欠费|账户.{0,4}不足|额度.{0,6}(?:不足|用尽|耗尽|失败)"
    r"|預算|残高|잔액|solde\b.{0,20}insuffisant|guthaben|saldo insuficiente|недостаточно средств",
    re.IGNORECASE,
)
_EXHAUSTED = re.compile(
    r"(?:per|this)[- _]?(?:day|week|month)\b|(?-i:Per(?:Day|Week|Month))|\b(?:daily|weekly|monthly)\b"
    r"|每日|当日|今日|每月|本月",
    re.IGNORECASE,
)
_SPENT = re.compile(
    r"usage limits?\b.{0,40}\b(?:regain|reset)|reached your .{0,30}usage limit|\d[- ]hour usage limit", re.IGNORECASE
)
"""The same, in words that are clear with any status below 500."""
_LOADING = re.compile(
    r"\b(?:down)?loading\b|warming up|starting up|scaling up|initiali[sz]ing|is not ready|cold start", re.IGNORECASE
)
_CONTENT = re.compile(
    r"content[_ ]?(?:filter|policy|management)|moderation|flagged|responsibleai|\bsafety\b|\bblocked\b"
    r"|safety_check|violates? (?:our|the|its) |sensitive[_ ](?:content|information|words?)"
    r"|usage (?:polic|guideline)"
    r"|data_inspection|(?:input|output) (?:new_)?sensitive|inappropriate|prohibited|guardrail"
    r"|content exists risk|high[- ]risk|legal reasons|\bunsafe|prompt injection|jailbreak|inappropri|security audit"
    r"|不安全|敏感|违规|違反|gegen unsere richtlinien|политик\w{0,3} безопасности",
    re.IGNORECASE,
)
_HOURLY = re.compile(r"\b(?:per|this)[- _]?hour\b|\bhourly\b|每小时|usage (?:limit|quota)|使用上限", re.IGNORECASE)
_THROTTLED = re.compile(
    r"throttl|too many (?:concurrent )?requests|too many tokens,|rate[ _-]?limit(?:ed|[ _-](?:exceeded|reached))"
    r"|RESOURCE_EXHAUSTED|overloaded|over capacity|capacity exceeded|concurrency limit|exceeded .{0,60}rate limit"
    r"|(?:request|token|qps)s?_limit_exceeded|频繁|限流|并发数?.{0,4}(?:过|超)|负载|繁忙|过载|请您?稍[后候]|速率限制"
    r"|(?:server|model|system) is (?:currently |too )?busy|pending requests"
    r"|no (?:available|healthy) (?:worker|upstream|backend)"
    r"|concurren\w{1,3} (?:request )?limit|error code: 1015"
    r"|trop de requêtes|zu viele anfragen|demasiadas solicitudes|слишком много запросов"
    r"|リクエストが多すぎ|요청이 너무 많",
    re.IGNORECASE,
)
"""Counts with any status: gateways pass on a provider's complaint about its load as 400, 403 or 500."""
_DOWN = re.compile(
    r"model.{0,40}(?:crashed|unloaded|reloaded|is not loaded|is cold|operation cancell?ed)|temporarily unavailable"
    r"|(?:try|retry)(?: your request| again)? later",
    re.IGNORECASE,
)
_BROKEN = re.compile(
    r"\btimed? ?-?out\b|deadline exceeded|connection (?:error|reset|refused|termination|closed)|APIConnectionError"
    r"|upstream connect|bad gateway|out of memory|(?:was|been) (?:aborted|cancell?ed)|socket hang up|\bECONN[A-Z]+"
    r"|fetch failed|unexpected EOF|\binternal (?:server )?error\b(?! while)|EngineCore|CUDA error"
    r"|process has terminated|stream closed|do[_ ]request[_ ]failed|(?:response )?status code 5\d\d",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"api[ _-]?key(?: is| has| was)? ?(?:not valid|invalid|expired|revoked|disabled|missing|not found)"
    r"|api[ _-]?key (?:has |was |is )?(?:been )?(?:blocked|suspended|deactivated)|API_KEY_INVALID"
    r"|(?:invalid|incorrect|expired|missing|wrong) ?api[ _-]?key|UNAUTHENTICATED|authentication (?:failed|error|fails)"
    r"|(?:invalid|expired|malformed) (?:access|bearer|auth\w*) token|no auth credentials|authorization token missing"
    r"|(?:access|bearer|security) token .{0,30}(?:invalid|expired)|login fail"
    r"|provide an api[ _-]?key|api[ _-]?key not provided|api[ _-]schlüssel"
    r"|身份验证|令牌(?:已过期|无效|验证)|无效的令牌",
    re.IGNORECASE,
)
_OF_THE_REQUEST = re.compile(
    r"invalid[_ ](?:request|param|value|argument)|unsupported|not support|bad ?request|validation|unprocessable"
    r"|参数",
    re.IGNORECASE,
)
_HIDDEN = re.compile(
    r"jinja|role not supported|roles must alternate|BadRequestError|UnsupportedParams|invalid_request_error"
    r"|input validation error",
    re.IGNORECASE,
)
_NO_SUCH_MODEL = re.compile(
    r"\bmodel\b(?:(?!temperature|top_p|seed|parameter|field|role|format|template)[^.:,;]){0,60}?"
    r"\b(?:not exist|not found|decommissioned|retired|deprecated|no longer (?:supported|available))"
    r"|model_not_found|(?:unknown|no such|invalid) model\b|not a valid model|模型不存在",
    re.IGNORECASE,
)
_NO_SUCH_PAGE = re.compile(
    r"unexpected endpoint|no route matched|cannot post|\b(?:resource|page|file) not found"
    r"|(?:no such|unknown|invalid) (?:page|endpoint|route|url|path)|^\W*not found\W*(?:\Z|·)",
    re.IGNORECASE,
)
_STATUSES = {
    ComplaintKind.MONEY: 402, ComplaintKind.BUSY: 429, ComplaintKind.EXHAUSTED: 429, ComplaintKind.KEY: 401
}  # fmt: skip


def find_kind(words: str, status: int, *, says_when: bool = False) -> ComplaintKind:
    """Return what a complaint with this status is about; `says_when` tells that the server says how long to wait."""
    words = _URL.sub(" ", words)
    if is_too_long(words):
        return ComplaintKind.LENGTH
    if status == 402:
        return ComplaintKind.MONEY
    if status == 429:
        # "You exceeded your current quota" is a limit per minute if the server says when to come back.
        if not says_when and _MONEY.search(words):
            return ComplaintKind.MONEY
        exhausted = _EXHAUSTED.search(words) or (not says_when and _HOURLY.search(words))
        return ComplaintKind.EXHAUSTED if exhausted and "minute" not in words.lower() else ComplaintKind.BUSY
    if status < 500 and _MONEY.search(words):
        return ComplaintKind.MONEY
    if status < 500 and _SPENT.search(words):
        return ComplaintKind.EXHAUSTED
    if status == 503 and _LOADING.search(words):
        return ComplaintKind.LOADING
    if status < 500 and _KEY.search(words):
        return ComplaintKind.KEY
    if status < 500 and _CONTENT.search(words):
        return ComplaintKind.CONTENT
    if status != 401 and (_THROTTLED.search(words) or (status < 500 and _DOWN.search(words))):
        return ComplaintKind.BUSY
    if status < 500 and status != 401 and _BROKEN.search(words):
        return ComplaintKind.BROKEN
    return ComplaintKind.OTHER


def guess_status(words: str) -> int:
    """Return the status that suits an error that came with 200; 0 if its words say too little."""
    kind = find_kind(words, 400)
    if kind == ComplaintKind.OTHER:
        if _EXHAUSTED.search(words):
            return 429
        return 404 if _NO_SUCH_PAGE.search(words) else 400 if _OF_THE_REQUEST.search(words) else 0
    return _STATUSES.get(kind, 400)


def is_missing_page(words: str) -> bool:
    """Return whether a complaint only says that there is no such page."""
    return _NO_SUCH_PAGE.search(words) is not None


def is_missing_model(words: str) -> bool:
    """Return whether a complaint says that a model doesn't exist (any more); some servers say so with status 400."""
    return _NO_SUCH_MODEL.search(words) is not None


def is_about_request(words: str) -> bool:
    """Return whether a complaint with status 500 is really about the request, as when a chat template raises."""
    return _HIDDEN.search(words) is not None


_OPTIONAL = re.compile(r"\b(?:(?:top_)?logprobs|response_format|json_schema|top_p|temperature|seed)\b")


def is_about_field(words: str) -> bool:
    """Return whether a complaint with status 403 is about an optional field of the request, as log-probabilities."""
    return _OPTIONAL.search(words) is not None
