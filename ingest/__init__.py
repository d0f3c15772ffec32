"""The server side of OTLP: receivers, scan, spool, decode kernels, writer, ledger."""
