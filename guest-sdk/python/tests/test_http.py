"""Requests, their redirects, and what the fake lets a server see."""

import support  # noqa: F401  # isort: skip

import unittest
from typing import Any

from sandmill import Denied, Headers, HttpError, Response, http, resource, secret
from sandmill.testing import FakeResource, Fakes, Request

API = "https://api.example.com"


class HttpTest(unittest.TestCase):
    def sent(self, **options: Any) -> Request:
        with Fakes(http=lambda request: None) as fakes:
            http.post(f"{API}/a?x=1#fragment", **options)
        return fakes.requests[0]

    def test_bodies(self) -> None:
        for options, body, media_type in [
            ({}, b"", None),
            ({"body": "ä"}, "ä".encode(), "text/plain; charset=utf-8"),
            ({"body": b"\0"}, b"\0", None),
            ({"json": {"a": {1}}}, b'{"a":[1]}', "application/json"),
            ({"json": None}, b"null", "application/json"),
            ({"form": {"a": ["1", "ä"]}}, b"a=1&a=%C3%A4", "application/x-www-form-urlencoded"),
            ({"json": 1, "headers": {"Content-Type": "x/y"}}, b"1", "x/y"),
        ]:
            with self.subTest(options):
                request = self.sent(**options)
                self.assertEqual((request.body, request.headers.get("content-type")), (body, media_type))
        with self.assertRaisesRegex(ValueError, "one body: not body and json"):
            self.sent(body="", json=None)

    def test_urls(self) -> None:
        self.assertEqual(self.sent(query={"y": ["a b", "c"]}).url, f"{API}/a?x=1&y=a+b&y=c")
        for url in ("ftp://a", "a", "https://", "//a/b"):
            with self.assertRaises(ValueError):
                http.get(url)

    def test_answers(self) -> None:
        answers = {
            f"GET {API}/json": {"a": 1},
            f"GET {API}/made": lambda request: Response(request.url, 418, {"X-A": "1"}),
            f"GET {API}/exact?a=1": "one",
        }
        with Fakes(http=answers):
            self.assertEqual(http.get(f"{API}/json").json(), {"a": 1})
            made = http.get(f"{API}/made?a=1")
            self.assertEqual(
                (made.status, made.ok, made.text(), made.headers["x-a"], made.url), (418, False, f"{API}/made?a=1", "1", f"{API}/made?a=1")
            )
            self.assertEqual(http.get(f"{API}/exact?a=1").json(), "one")
            for call in (lambda: http.get(f"{API}/exact?a=2"), lambda: http.delete(f"{API}/json")):
                with self.assertRaisesRegex(Denied, "Fakes") as raised:
                    call()
                self.assertEqual((type(raised.exception).__name__, raised.exception.code), ("HttpError", "HTTP-request-denied"))
        with Fakes(), self.assertRaises(HttpError):
            http.get(API)

    def test_secrets(self) -> None:
        account = FakeResource(secrets={"/key": "k/e"})
        with Fakes(secrets={"s": "t0&"}, resources={"r": account}, http=lambda request: None) as fakes:
            mark, key = secret("s"), resource("r").placeholder("/key")
            http.post(API, headers={"authorization": f"Bearer {mark}"}, query={"key": key}, form={"a": mark})
            http.post(f"{API}/{key}", body=f"{mark} {key}")
        first, second = fakes.requests
        self.assertEqual((first.headers["authorization"], first.url, first.body), ("Bearer t0&", f"{API}?key=k%2Fe", b"a=t0%26"))
        self.assertEqual((second.url, second.body), (f"{API}/k%2Fe", b"t0& k/e"))

    def test_redirects(self) -> None:
        cases = [
            (301, "POST", "GET"),
            (302, "POST", "GET"),
            (302, "PUT", "PUT"),
            (303, "PUT", "GET"),
            (303, "HEAD", "HEAD"),
            (307, "POST", "POST"),
            (308, "POST", "POST"),
        ]
        for status, method, then in cases:

            def server(request: Request, status: int = status) -> Response:
                return Response.redirect("/b", status) if request.url.endswith("/a") else Response("done")

            with self.subTest((status, method)), Fakes(http=server) as fakes:
                answer = http.request(method, f"{API}/a", body=b"x", headers={"authorization": "a", "content-type": "x/y"})
                last = fakes.requests[-1]
                self.assertEqual((answer.text(), last.method, last.url, last.headers.get("authorization")), ("done", then, f"{API}/b", "a"))
                self.assertEqual((last.body, "content-type" in last.headers), (b"x", True) if method == then else (b"", False))

    def test_redirects_to_another_origin(self) -> None:
        def server(request: Request) -> Response:
            return Response.redirect("https://api.example.com:444/b", 307) if request.url == API else Response()

        with Fakes(http=server) as fakes:
            http.get(API, headers={"Authorization": "a", "Cookie": "b", "x": "c"})
        self.assertEqual(fakes.requests[1].headers.items(), [("x", "c")])

    def test_circles_of_redirects(self) -> None:
        with Fakes(http=lambda request: Response.redirect("/")) as fakes:
            with self.assertRaisesRegex(HttpError, "more than 20"):
                http.get(API)
            self.assertEqual(len(fakes.requests), 21)
            self.assertEqual(http.get(API, follow_redirects=False).status, 302)

    def test_headers(self) -> None:
        headers = Headers([("A", "1"), ("b", "2"), ("a", "3")])
        self.assertEqual((headers["a"], headers.get_all("A"), headers.get("c"), "B" in headers), ("1, 3", ["1", "3"], None, True))
        headers.set("A", "4")
        self.assertEqual([*headers], [("b", "2"), ("a", "4")])
        with self.assertRaises(KeyError):
            _ = headers["c"]
        with Fakes(http=lambda request: None), self.assertRaisesRegex(HttpError, "line break"):
            http.get(API, headers={"a": "1\r\nb: 2"})
