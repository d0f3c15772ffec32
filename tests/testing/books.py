"""Authors and their books in a database: what lazy loading makes N+1 queries of."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from sqlalchemy import ForeignKey, StaticPool, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[list["Book"]] = relationship()


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))


@contextmanager
def shelves() -> Iterator[Session]:
    """Four authors with a book each; every statement is a span."""
    # By the driver: SQLAlchemy's own instrumentation knows versions before 2.1 alone.
    instrumentor = SQLite3Instrumentor()
    instrumentor.instrument()
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Author(id=number, books=[Book(id=number)]) for number in range(1, 5))
        session.commit()
        yield session
    engine.dispose()
    instrumentor.uninstrument()
