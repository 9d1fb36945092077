"""Ports: free or taken, by whom, and the same one again for the same name."""

from __future__ import annotations

import os
import random
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ops.adapters.ports import CHOSEN_FROM, PortBook, PortsError, holder, is_free


@pytest.fixture
def book(tmp_path: Path) -> PortBook:
    return PortBook(tmp_path / "ports.json", random.Random())


def test_a_taken_port_is_not_free_and_its_holder_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        assert f"(pid {os.getpid()})" in holder(port)
    assert is_free(port)


def test_a_port_that_others_share_is_taken_too() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert not is_free(server.getsockname()[1])


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(PortsError, match=r"192\.0\.2\.1"):
        is_free(8080, "192.0.2.1")


def test_a_name_keeps_its_port_and_others_get_others(book: PortBook, tmp_path: Path) -> None:
    ports = {name: book.claim(name) for name in "abcdefgh"}
    assert len(set(ports.values())) == len(ports)
    assert all(port in CHOSEN_FROM for port in ports.values())
    again = PortBook(tmp_path / "ports.json", random.Random())
    assert {name: again.claim(name) for name in ports} == ports


def test_a_port_that_was_taken_meanwhile_is_replaced(book: PortBook) -> None:
    port = book.claim("a")
    with socket.create_server(("127.0.0.1", port)):
        other = book.claim("a")
        assert other != port
    assert book.get("a") == other


def test_a_released_name_is_forgotten_and_a_broken_book_begun_anew(book: PortBook, tmp_path: Path) -> None:
    book.claim("a")
    book.release("a")
    assert book.get("a") is None
    (tmp_path / "ports.json").write_text("{half")
    assert book.claim("a") in CHOSEN_FROM


def test_many_at_once_never_share_a_port(tmp_path: Path) -> None:
    def claim(number: int) -> int:
        return PortBook(tmp_path / "ports.json", random.Random(1)).claim(f"name-{number}")

    with ThreadPoolExecutor(8) as pool:
        ports = list(pool.map(claim, range(40)))
    assert len(set(ports)) == 40


def test_when_all_are_taken_it_says_so(tmp_path: Path) -> None:
    class Stuck(random.Random):
        def choice(self, seq):  # type: ignore[no-untyped-def]
            return seq[0]

    book = PortBook(tmp_path / "ports.json", Stuck())
    book.claim("a")
    with pytest.raises(PortsError, match="no free port"):
        book.claim("b")
