"""The last row of every dashboard: what Python processes and databases need."""

from deploy.grafana.board import OVERVIEW, PIPELINE, Panel, Query, Row, Unit, quantile, rate

DETAILS = (OVERVIEW, PIPELINE)
_WORSE = 'level=~"warning|error|critical"'

RUNTIME = Row(
    "Runtime",
    (
        Panel(
            "Processors in use",
            "Processor time a second of each process; 1 is a whole processor.",
            "A process stays near 1: it does one thing at a time, so start more of its role.",
            (Query("rate(process_cpu_seconds_total[$__rate_interval])", "{{job}} {{instance}}"),),
            DETAILS,
            limits=(0.9,),
        ),
        Panel(
            "Memory",
            "Resident memory of each process.",
            "A line that only rises, or one that nears the container's limit.",
            (Query("process_resident_memory_bytes", "{{job}} {{instance}}"),),
            DETAILS,
            Unit.BYTES,
        ),
        Panel(
            "File descriptors in use",
            "Open files and connections, as a share of what the process may open.",
            "Above 0.8: soon nothing can be opened, and requests fail.",
            (Query("process_open_fds / process_max_fds", "{{job}} {{instance}}"),),
            DETAILS,
            Unit.SHARE,
            limits=(0.8,),
        ),
        Panel(
            "Wait for a database connection",
            "What the slowest twentieth of transactions waits for a connection of the pool.",
            "Above half a second for minutes: the pool is too small, or transactions take too long.",
            (Query(quantile(0.95, "tactful_db_pool_wait_seconds", "job"), "{{job}}"),),
            DETAILS,
            Unit.SECONDS,
            alerts=("TactfulDbPoolExhausted",),
            limits=(0.5,),
        ),
        Panel(
            "Database connections",
            "Connections of the pools, by state.",
            "None idle for long: transactions wait.",
            (Query("sum by (job, state) (tactful_db_pool_connections)", "{{job}} {{state}}"),),
            DETAILS,
            stacked=True,
        ),
        Panel(
            "Warnings and errors in logs",
            "Lines of log a second, by level.",
            "Any error; warnings that go on. The logs say what.",
            (
                Query(
                    rate("tactful_log_messages_total", "job, level", 'level=~"warning|error|critical"'),
                    "{{job}} {{level}}",
                ),
            ),
            DETAILS,
            Unit.PER_SECOND,
            stacked=True,
        ),
    ),
    collapsed=True,
)
