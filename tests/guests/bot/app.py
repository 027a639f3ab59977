"""A bot: a function of mpim in Python.

What it imports and exports, and what each method promises, is in wit/bot.wit; the modules of `wit_world` are made from
there. It knows neither JSON nor sockets nor tokens.
"""

import random
import re
from functools import wraps

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.bot import Reply, Throw
from wit_world.imports import config, send, telemetry
from wit_world.imports.gateway import Caller
from wit_world.imports.mpim_im_types import Error, ErrorCode
from wit_world.imports.telemetry import Level

DICE = re.compile(r"(\d{1,2})d(\d{1,4})", re.ASCII)
DICE_MAX = 20
SIDES_MAX = 1000


def invalid(message: str) -> Err:
    """The request is wrong. Raised, it is the error of the method's result."""
    return Err(Error(ErrorCode.INVALID, message, retryable=False))


def faults_logged(method):
    """Any other exception ends the call and its sandbox, and the caller reads `internal`: only the log says why."""

    @wraps(method)
    async def logged(*arguments):
        try:
            return await method(*arguments)
        except Err:
            raise
        except Exception as fault:
            telemetry.log(Level.ERROR, "the bot has a fault", [("method", method.__name__), ("fault", repr(fault))])
            raise

    return logged


class Bot(exports.Bot):
    """The exported interface: the host looks for it by this name."""

    @faults_logged
    async def echo(self, caller: Caller, text: str) -> Reply:
        if not text:
            raise invalid("a text of nothing")
        greeting = config.value("greeting")
        if greeting is None:
            # A mistake in the manifest, which no caller can do anything about.
            raise LookupError("the setting `greeting` is missing")
        telemetry.log(Level.INFO, "echoed", [("characters", str(len(text)))])
        return Reply(to=caller.user, text=f"{greeting} {text}")

    @faults_logged
    async def roll(self, caller: Caller, to: int, client_id: str, dice: str) -> Throw:
        count, sides = parsed(dice)
        fate = random.Random(f"{caller.user} {client_id}")
        faces = [fate.randint(1, sides) for _ in range(count)]
        content = f"{dice}: {' + '.join(map(str, faces))} = {sum(faces)}"
        # Another function: what it raises is an error of the type that is promised here too.
        receipt = await send.send_message(caller, to, client_id, content, None, None, None)
        return Throw(faces=faces, total=sum(faces), receipt=receipt)


def parsed(dice: str) -> tuple[int, int]:
    """How many dice, and of how many sides."""
    match = DICE.fullmatch(dice)
    count, sides = map(int, match.groups()) if match else (0, 0)
    if not 1 <= count <= DICE_MAX or not 2 <= sides <= SIDES_MAX:
        raise invalid(f"dice are such as 2d6, at most {DICE_MAX} of at most {SIDES_MAX} sides")
    return count, sides
