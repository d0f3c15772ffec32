"""Which program a command line runs, and what it is called by that and by the files around it."""

from __future__ import annotations

import pytest
from around import around
from sonde.sdk.program import Program, Project, program_of, project_of

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("python shop/app.py --port 80", Program(script="shop/app.py")),
        ("python -u -X dev -W error shop.py", Program(script="shop.py")),
        ("python -m shop.web --port 80", Program(module="shop.web")),
        ("python -c pass", Program()),
        ("python", Program()),
        ("python -", Program()),
        ("python /usr/bin/gunicorn -w 4 shop.wsgi:app", Program(module="shop.wsgi")),
        ("python /usr/bin/gunicorn shop.wsgi:create_app()", Program(module="shop.wsgi")),
        ("python -m uvicorn --host 0.0.0.0 shop.asgi:app", Program(module="shop.asgi")),
        ("python -m uvicorn --host 0.0.0.0:80 shop", Program(module="uvicorn")),
        ("python /v/bin/celery -A shop.tasks worker", Program(module="shop.tasks")),
        ("python /v/bin/celery --app=shop.tasks:app worker", Program(module="shop.tasks")),
        ("python /v/bin/flask --app shop run", Program(module="shop")),
        ("python /v/bin/flask --app web/shop.py run", Program(script="web/shop.py")),
        ("python /v/bin/pytest tests", Program(script="/v/bin/pytest")),
    ],
)
def test_the_program_of_a_command_line(command: str, program: Program) -> None:
    assert program_of(command.split()) == program


@pytest.mark.parametrize(
    ("program", "folder", "name"),
    [
        (Program(script="shop.py"), "/srv/x", "shop"),
        (Program(script="app.py"), "/srv/shop", "shop"),
        (Program(script="shop/main.py"), "/srv/x", "shop"),
        (Program(script="/opt/shop/app.py"), "/srv/x", "shop"),
        (Program(module="shop.wsgi"), "/srv/x", "shop"),
        (Program(module="main"), "/srv/shop", "shop"),
        (Program(module="main"), "/app", "main"),
        (Program(script="app.py"), "/app", "app"),
        (Program(), "/", "python"),
        (Program(), "/srv/shop", "shop"),
    ],
)
def test_a_program_is_named_by_what_tells_it_from_others(program: Program, folder: str, name: str) -> None:
    assert program.name(folder) == name


PYPROJECT = '[project]\nname = "shop"\nversion = "1.2.0"\n'
GIT = {
    "/srv/.git/HEAD": "ref: refs/heads/main\n",
    "/srv/.git/refs/heads/main": f"{REVISION}\n",
    "/srv/.git/config": '[core]\n\tbare = false\n[remote "origin"]\n'
    '\turl = https://me:pw@host.example/team/store.git\n[branch "main"]\n',
}
URL = "https://host.example/team/store.git"


@pytest.mark.parametrize(
    ("files", "project"),
    [
        ({}, Project()),
        ({"/srv/x/pyproject.toml": PYPROJECT}, Project("shop", "1.2.0")),
        ({"/srv/pyproject.toml": PYPROJECT}, Project("shop", "1.2.0")),
        ({"/srv/x/pyproject.toml": "[tool.ruff]\n"}, Project()),
        ({"/srv/x/pyproject.toml": "not [ toml"}, Project()),
        ({"/srv/x/pyproject.toml": '[tool.poetry]\nname = "shop"\n'}, Project("shop")),
        ({"/srv/x/pyproject.toml": '[project]\nname = "shop"\ndynamic = ["version"]\n'}, Project("shop")),
        (GIT, Project("store", "", REVISION, "main", URL)),
        (GIT | {"/srv/x/pyproject.toml": PYPROJECT}, Project("shop", "1.2.0", REVISION, "main", URL)),
        ({"/srv/.git/HEAD": REVISION}, Project("srv", "", REVISION)),
        ({"/srv/.git/HEAD": "nonsense"}, Project("srv")),
        (
            {
                "/srv/.git/HEAD": "ref: refs/heads/a/b",
                "/srv/.git/packed-refs": f"# pack-refs\n{REVISION} refs/heads/a/b\n",
            },
            Project("srv", "", REVISION, "a/b"),
        ),
        (
            {
                "/srv/x/.git": "gitdir: /repo/.git/worktrees/x\n",
                "/repo/.git/worktrees/x/HEAD": "ref: refs/heads/topic\n",
                "/repo/.git/worktrees/x/commondir": "../..\n",
                "/repo/.git/refs/heads/topic": f"{REVISION}\n",
            },
            Project("x", "", REVISION, "topic"),
        ),
    ],
)
def test_what_the_files_around_a_program_say(files: dict[str, str], project: Project) -> None:
    assert project_of(around(files=files), Program(script="app.py")) == project


def test_an_installed_script_belongs_to_the_folder_it_is_started_in() -> None:
    files = {"/v/pyproject.toml": '[project]\nname = "tool"\n', "/srv/x/pyproject.toml": PYPROJECT}
    assert project_of(around(files=files), Program(script="/v/bin/pytest")).name == "shop"
