"""Much work is written in parts whose size follows from how long they take."""

from __future__ import annotations

import gc
import time
from contextlib import suppress

import pytest
from flask import Flask

from portal.db import db
from portal.pace import Pace, without_collecting


def test_parts_get_smaller_where_they_take_long_and_larger_again(app: Flask) -> None:
    pace = Pace(db.engine, 400)
    with pace.write(400):
        time.sleep(0.05)
    # A fifth of the time is a fifth of the rows, or less on a machine that is busy.
    assert 20 <= pace.room <= 80
    for _time in range(5):
        small = pace.room
        with pace.write(pace.room):
            pass
        # By and by: one part that was quick says little about the next.
        assert pace.room <= 2 * small
    assert pace.room == 400


def test_parts_never_get_so_small_that_the_work_has_no_end(app: Flask) -> None:
    pace = Pace(db.engine, 400)
    for _time in range(3):
        with pace.write(pace.room):
            time.sleep(0.3)
    assert pace.room == 20


def test_what_fails_is_not_written_and_says_so(app: Flask) -> None:
    pace = Pace(db.engine, 400)
    with pytest.raises(ZeroDivisionError), pace.write(1):
        _nothing = 1 / 0
    assert pace.room == 400


def test_garbage_is_looked_for_again_afterwards() -> None:
    with without_collecting():
        assert not gc.isenabled()
    assert gc.isenabled()
    with suppress(ZeroDivisionError), without_collecting():
        _nothing = 1 / 0
    assert gc.isenabled()
