"""`make bench-history`: a rider's history and season among a million workouts, and the plans."""

import statistics
import sys
import time

import click
import psycopg
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

from bench.history_plans import Question, faults_of, plan_of, questions
from bench.history_rows import WORKOUTS, generate
from bench.system import temporary_folder
from ops.admin import migrations
from ops.embedded.servers import embedded_servers
from shared.connections import Row


@click.command()
@click.option(
    "--workouts",
    envvar="WORKOUTS",
    default=WORKOUTS,
    show_default=True,
    type=click.IntRange(100_000),  # of fewer, reading all would be right
)
@click.option("--rounds", envvar="ROUNDS", default=50, show_default=True)
@click.option("--plans/--no-plans", default=True, help="Show each plan as it was executed.")
def main(workouts: int, rounds: int, plans: bool) -> None:
    """Measure the queries of a history; exit with 1 if one does not go by index."""
    console = Console(highlight=False)
    with temporary_folder() as folder, embedded_servers(folder) as urls:
        migrations.apply(urls["DATABASE_URL"])
        with psycopg.connect(
            urls["DATABASE_URL"], autocommit=True, prepare_threshold=None, row_factory=dict_row
        ) as connection:
            begin = time.monotonic()
            rider = generate(connection, workouts)
            console.print(f"{workouts:,} workouts generated in {time.monotonic() - begin:.0f} s")
            asked = questions(connection, rider)
            _show_times(console, asked, measure(connection, asked, rounds))
            if plans:
                _show_plans(console, connection, asked)
            faults = [
                fault for each in asked for fault in faults_of(each, plan_of(connection, each))
            ]
    for fault in faults:
        console.print(f"not by index: {fault}")
    sys.exit(bool(faults))


def measure(
    connection: psycopg.Connection[Row], asked: list[Question], rounds: int
) -> dict[str, float]:
    """The median time of each question's answer, in ms; asked in turns."""
    times: dict[str, list[float]] = {each.name: [] for each in asked}
    for _ in range(rounds):
        for each in asked:
            begin = time.perf_counter()
            connection.execute(each.statement, each.parameters).fetchall()
            times[each.name].append((time.perf_counter() - begin) * 1000)
    return {name: statistics.median(taken) for name, taken in times.items()}


def _show_times(console: Console, asked: list[Question], times: dict[str, float]) -> None:
    table = Table(title="A rider with 5,000 workouts, pages of 20")
    table.add_column("Question")
    table.add_column("ms", justify="right")
    for each in asked:
        table.add_row(each.name, f"{times[each.name]:.2f}")
    console.print(table)
    ratio = times["last page, by cursor"] / times["first page"]
    verdict = "met" if 0.5 <= ratio <= 2 else "not met"
    console.print(f"last page by cursor / first page: {ratio:.2f} (target: within 2 ×, {verdict})")


def _show_plans(
    console: Console, connection: psycopg.Connection[Row], asked: list[Question]
) -> None:
    for each in asked:
        explain = b"EXPLAIN (ANALYZE, BUFFERS) " + each.statement.encode()
        console.print(f"\n{each.name}")
        for row in connection.execute(explain, each.parameters):
            console.print(f"  {row['QUERY PLAN']}", soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
