#!/usr/bin/python3
"""Judge the evidence page: page.py FILE [TEXT...]: every tag closed, nothing active, nothing from outside, each TEXT there as text."""
import sys
from html.parser import HTMLParser

VOID = {"meta", "br"}
ALLOWED = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "strong", "span", "code", "nav", "a", "table", "thead", "tbody",
           "tr", "th", "td"}


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.stack, self.text, self.ids, self.links, self.tags = [], [], set(), set(), {}
        self.columns = None

    def handle_starttag(self, tag, attrs):
        assert tag in ALLOWED, tag
        for name, value in attrs:
            assert name in ("lang", "charset", "http-equiv", "content", "name", "id", "class", "href"), (tag, name, value)
            if name == "href":
                assert value.startswith("#"), value
                self.links.add(value[1:])
            if name == "id":
                assert value not in self.ids, value
                self.ids.add(value)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack and self.stack[-1] == tag, (tag, self.stack)
        self.stack.pop()

    def handle_data(self, data):
        if "style" in self.stack:
            assert "url(" not in data and "@import" not in data and "<" not in data
        else:
            self.text.append(data)


page = Page()
source = open(sys.argv[1], encoding="utf-8").read()
page.feed(source)
page.close()
assert not page.stack, page.stack
assert source.startswith("<!DOCTYPE html>") and source.rstrip().endswith("</html>")
assert "default-src 'none'" in source and "http://" not in source and "https://" not in source
assert page.links <= page.ids and len(page.ids) >= 10, (page.links, page.ids)
text = "".join(page.text)
for want in sys.argv[2:]:
    assert want in text, (want, text)
print(f"{page.tags['h2']} sections, {page.tags.get('tr', 0)} lines of tables")
