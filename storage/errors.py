"""What can go wrong with the store, told apart by what the caller should do."""


class StoreError(Exception):
    """Base of every storage error; the message is a sentence for a person."""


class StoreUnavailable(StoreError):
    """The store can't be reached or is overloaded: the same call may succeed later."""


class StoreRefused(StoreError):
    """The store refused this statement or block for its content: trying again won't help."""


class StoreLocked(StoreError):
    """Another process has the embedded store open."""


class SchemaError(StoreError):
    """The store's tables are not what this version declares."""
