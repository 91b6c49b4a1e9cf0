"""Makes the Parquet files of this folder, and beside each NAME.parquet a NAME.arrows: what pyarrow reads from it.

    pip install pyarrow==26.0.1 pandas==3.1.1 fastparquet==2026.9.0 duckdb==2.0.1 polars==2.1.0 && python make.py

Every file has few rows; together they cover what common writers do by default and with their usual options. The files of
Spark are made by make_spark.py.
"""

import make_others
import make_pyarrow

if __name__ == "__main__":
    make_pyarrow.main()
    make_others.main()
