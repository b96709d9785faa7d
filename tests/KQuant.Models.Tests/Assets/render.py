"""Renders chat templates as transformers does. Reads a JSON list of [template, variables], writes a JSON list of {"text"} or {"error"}."""

import datetime
import json
import sys

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

NOW = datetime.datetime(2025, 7, 6, 9, 5)


class Generation(jinja2.ext.Extension):
    """The generation tag: here only what it holds is rendered."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def render_with(sandbox, template, variables):
    environment = sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = NOW.strftime
    if sandbox is jinja2.sandbox.SandboxedEnvironment:
        environment.filters["from_json"] = json.loads
    return environment.from_string(template).render(**variables)


def render(template, variables):
    text = json.dumps(variables)
    try:
        return {"text": render_with(jinja2.sandbox.ImmutableSandboxedEnvironment, template, variables)}
    except Exception as error:  # The type does not matter: there is no text.
        message = f"{type(error).__name__}: {error}"
    if "attribute 'append' of 'list'" not in message and "'from_json'" not in message:
        return {"error": message}
    # Templates for other engines change their own lists and use from_json, which KQuant knows too.
    try:
        return {"text": render_with(jinja2.sandbox.SandboxedEnvironment, template, json.loads(text))}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


json.dump([render(*case) for case in json.load(sys.stdin)], sys.stdout)
