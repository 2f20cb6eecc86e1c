"""Which values each name of a template means: those of the data as they are, or those escaped for HTML.

A *frame* is what names are looked up in: the data itself, or what a block or a partial goes into. Frames that hold one
another's values are of one kind: a block goes through escaped values or through plain ones, never through both. What is
printed demands a kind of its frame; a template in which two demands meet, or in which data alone decides which frame a
name is looked up in, is refused for its HTML, because nobody could prove that what it prints is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.templates.handlebars.grammar import Value, partial_name
from schemas.templates.handlebars.nodes import Block, Body, Leaf
from schemas.templates.handlebars.paths import Path
from schemas.templates.handlebars.problems import TemplateRefused
from schemas.templates.handlebars.tags import Tag, Text
from schemas.templates.names import HTML_TWIN, OPENED_TWIN, TWINS
from schemas.templates.uses import Frame, Role, Scopes, Use

__all__ = ["scopes_of"]


def scopes_of(body: Body, *, html: bool) -> Scopes:
    """Of a part's tree. What cannot be proved stands in its `problems`; only HTML has such."""
    found = Scopes(html)
    _Reader(found).body(body, _Scope())
    return found


@dataclass(frozen=True, slots=True)
class _Scope:
    """What names mean at a place; outermost first, without the data itself."""

    frames: tuple[Frame, ...] = ()
    loops: tuple[Frame, ...] = ()
    params: tuple[tuple[str, Frame], ...] = ()
    in_partial: bool = False

    def into(self, frame: Frame, *, loop: bool = False, params: tuple[str, ...] = ()) -> _Scope:
        named = (*self.params, *((name, frame) for name in params))
        return _Scope((*self.frames, frame), (*self.loops, frame) if loop else self.loops, named, self.in_partial)

    @property
    def here(self) -> Frame | None:
        return self.frames[-1] if self.frames else None

    def param(self, path: Path) -> Frame | None:
        if path.data or path.climbs or path.scoped or not path.names:
            return None
        return dict(self.params).get(path.names[0])


class _Reader:
    """Goes through a tree once; what it finds goes into `scopes`."""

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self._uses = _Uses(scopes)
        self._partials: dict[str, Frame] = {}

    def body(self, body: Body, scope: _Scope) -> None:
        for node in body:
            if isinstance(node, Leaf):
                self._leaf(node, scope)
            elif not isinstance(node, Text):
                self._block(node, scope)

    def _leaf(self, leaf: Leaf, scope: _Scope) -> None:
        said = leaf.said
        if said is None or said.name == "log":
            return
        if leaf.partial:
            self._partial(leaf, scope)
            return
        role = Role.RAW if leaf.tag.raw or leaf.tag.body.startswith("&") else Role.PRINTED
        value = said.head or Value("lookup", said.source, inner=said.arguments[:2])
        self._uses.use(leaf.tag, value, role, scope)

    def _partial(self, leaf: Leaf, scope: _Scope) -> None:
        frame, said = self._partials[leaf.partial], leaf.said
        assert said is not None
        if said.arguments:
            self._uses.use(leaf.tag, said.arguments[0], Role.GIVEN, scope, frame)
        elif scope.here is None:
            frame.like_root = True
            self._scopes.bare.append((leaf.tag, partial_name(leaf.tag, 1)[1], frame))
        else:
            frame.like_root |= scope.here.like_root
            self._uses.same(scope.here, frame)
        for name, value in said.named:
            self._uses.use(leaf.tag, value, Role.GIVEN, scope, frame, name=name)

    def _block(self, block: Block, scope: _Scope) -> None:
        said = block.said
        if said is None:
            frame = self._partials[block.inline] = Frame(block.opened)
            self.body(block.body, _Scope((frame,), in_partial=True))
        elif block.section and said.head:
            self._section(block, said.head, scope)
        elif said.head or not block.scopes:
            (tested,) = (said.head,) if said.head else said.arguments
            self._uses.use(block.opened, tested, Role.TESTED, scope, closed=block.closed if said.head else None)
            self.body([*block.body, *(block.other or [])], scope)
        else:
            (subject,) = said.arguments
            path = subject.path
            detached = path is None or bool(path.climbs or path.data or scope.param(path))
            frame = Frame(block.opened, detached=detached)
            self._uses.use(block.opened, subject, Role.ENTERED, scope, frame)
            loop = block.name == "each"
            self.body(block.body, scope.into(frame, loop=loop, params=said.params))
            self.body(block.other or [], scope)

    def _section(self, block: Block, head: Value, scope: _Scope) -> None:
        """Where its value is true the scope stays what it is: both are of one kind, so that both are escaped."""
        if scope.here is None and self._scopes.html:
            # What lies outside of it lay outside of the data before.
            around = Frame(block.opened, section=True, like_root=True)
            self._scopes.wraps.append((block, around))
            scope = scope.into(around)
            if head.path and head.path.names[:1] and head.path.names[0] in TWINS:
                self._uses.refuse(block.opened, "may stay in the data itself", "write it without the twin")
        frame = Frame(block.opened, section=True)
        if scope.here is not None:
            self._uses.same(scope.here, frame)
        self._uses.use(block.opened, head, Role.ENTERED, scope, frame, closed=block.closed)
        self.body(block.body, scope.into(frame))
        self.body(block.other or [], scope)


class _Uses:
    """Where each value is looked up, and what that says of the frames; noted in `scopes`."""

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes

    def use(
        self,
        tag: Tag,
        value: Value,
        role: Role,
        scope: _Scope,
        into: Frame | None = None,
        *,
        name: str = "",
        closed: Tag | None = None,
    ) -> None:
        if value.inner:
            self._lookup(tag, value, role, scope, into)
        elif value.path is None:
            if value.kind == "text" and into is not None:
                self._scopes.uses.append(Use(tag, value, role, into, into=into))
        elif (found := self._target(tag, value.path, scope)) is not None:
            target, names = found
            fixed = names[0] if target is None and names and names[0] in TWINS else ""
            if fixed:
                names = names[1:]
            use = Use(tag, value, role, target, names, into, name, closed)
            self._scopes.uses.append(use)
            self._note(use, fixed)

    def _lookup(self, tag: Tag, value: Value, role: Role, scope: _Scope, into: Frame | None) -> None:
        where, what = value.inner
        frame = into or Frame()
        self.use(tag, where, Role.ENTERED, scope, frame)
        self.use(tag, what, Role.KEY, scope, frame)
        self._demand(frame, role, tag)

    def _note(self, use: Use, fixed: str) -> None:
        """What a use says of its frames."""
        target, into = use.target, use.into
        if target is not None:
            if use.names and use.goes_in:
                target.entered.add(use.names[0])
            if into is not None:
                self.same(target, into)
            self._demand(target, use.role, use.tag)
        elif fixed and into is not None:
            self._told(into.demand(fixed, use.tag))
        if into is not None and not use.names and not use.name and (target is None or target.like_root):
            into.like_root |= use.role is Role.GIVEN or not into.opened or into.opened.body.startswith("#with")

    def _demand(self, frame: Frame, role: Role, tag: Tag) -> None:
        if self._scopes.html and role in {Role.PRINTED, Role.RAW}:
            self._told(frame.demand(HTML_TWIN if role is Role.PRINTED else OPENED_TWIN, tag))

    def _target(self, tag: Tag, path: Path, scope: _Scope) -> tuple[Frame | None, tuple[str, ...]] | None:
        """Where a path is looked up, and under which names; nothing where it can find only a number or nothing."""
        if path.data == "root":
            return None, path.names
        if path.data:
            return self._of_loop(tag, path, scope)
        if param := scope.param(path):
            return param, path.names[1:]
        if path.climbs > len(scope.frames):
            return None
        left = scope.frames[len(scope.frames) - path.climbs :]
        rest = scope.frames[: len(scope.frames) - path.climbs]
        target = rest[-1] if rest else None
        for frame in left:
            if frame.section or (frame.detached and target is not None):
                shown = frame.opened.shown if frame.opened else ""
                self.refuse(tag, f"climbs out of {shown}, and data alone decides to where", "use @root")
        return target, path.names

    def _of_loop(self, tag: Tag, path: Path, scope: _Scope) -> tuple[Frame, tuple[str, ...]] | None:
        if path.data != "key":
            return None
        if path.climbs and any(frame.section for frame in scope.frames):
            self.refuse(tag, "climbs to a key through a block that may be no loop", "use {{#each … as |value key|}}")
        if path.climbs < len(scope.loops):
            return scope.loops[-1 - path.climbs], ()
        if scope.in_partial:
            self.refuse(tag, "may be any loop's key", "give it to the partial: {{> partial key=@key}}")
        return None

    def same(self, one: Frame, other: Frame) -> None:
        self._told(one.same(other))

    def _told(self, problem: TemplateRefused | None) -> None:
        if problem is not None and self._scopes.html:
            self._scopes.problems.append(problem)

    def refuse(self, tag: Tag, what: str, instead: str) -> None:
        self._told(TemplateRefused(tag.place, f"{tag.shown} {what}: what HTML shows could not be escaped", instead))
