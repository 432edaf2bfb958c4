"""A labeled table with people's answers that a tiny model learns in seconds, for the tests of training."""

import sparklabel as sl

TONE = sl.classification("tone", "text", ["calm", "angry"])


def make_tone_table(spark, table, rows):
    """Makes it: each second row is calm. `table` is as in SQL. About a fifth is held out."""
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id, if(id % 2 = 0, 'calm', 'angry') AS gold, "
        f"concat(if(id % 2 = 0, 'oooo ', 'xxxx '), id) AS text FROM range({rows})"
    )
    sl.label_table(spark, table, TONE, key="id", engine="fake", progress=False)
    spark.sql(f"UPDATE {table} SET tone = gold, tone_label.source = 'human'")
