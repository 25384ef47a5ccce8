"""The error tree. Adapters translate vendor errors into it; only the worker catches."""


class QuarryError(Exception):
    """Any failure Quarry knows the meaning of."""


class PermanentError(QuarryError):
    """The same input will fail again: park the message with its reason, do not retry."""


class TransientError(QuarryError):
    """Waiting may help: give the message back and try later."""


class DownloadCutShort(TransientError):
    """The bytes stopped before the promised end."""


class SourceUnavailable(TransientError):
    """The source refuses or does not answer for the moment."""


class SourceBusy(TransientError):
    """Another collector is using this source; politeness says wait."""


class PageChanged(PermanentError):
    """The download page no longer has a control the collector relies on."""


class PeriodNotOffered(PermanentError):
    """The source does not list the requested period."""


class UnexpectedDownload(PermanentError):
    """What arrived is not the promised zip of the promised period."""


class UnsafeArchive(PermanentError):
    """The zip breaks a size cap or holds a name that must not be trusted."""


class ManifestMismatch(PermanentError):
    """Stored files are not the ones the manifest describes."""


class UnexpectedMember(PermanentError):
    """A file of the folder belongs to another period, or is there twice."""


class SchemaMismatch(PermanentError):
    """Columns or types are not what was declared."""


class RowsUnaccounted(PermanentError):
    """Rows in are not rows out plus rows quarantined."""


class InvalidRequest(PermanentError):
    """A well-formed request that asks for something that cannot be done."""
