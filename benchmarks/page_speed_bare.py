"""A bare Streamlit page with as much on it as its URL asks for: what no page of the product can be faster than."""

from datetime import date, timedelta

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

DAYS = [date(2026, 1, 1) + timedelta(days=n) for n in range(30)]

st.set_page_config(layout="wide")
st.title("Bare")
st.segmented_control("Period", ["7 days", "30 days"], default="30 days")
columns = st.columns(4)
for number in range(int(st.query_params.get("metrics", 0))):
    columns[number % 4].metric(f"Metric {number}", "1,234", border=True, chart_data=list(range(30)), chart_type="area")
for number in range(int(st.query_params.get("charts", 0))):
    bars = [go.Bar(x=DAYS, y=list(range(30)), name=f"Part {part}") for part in range(3)]
    st.plotly_chart(go.Figure(bars, {"barmode": "stack", "height": 320}), key=f"chart {number}")
for number, shape in enumerate(st.query_params.get_all("table")):
    rows, width = map(int, shape.split("x"))
    st.dataframe(pd.DataFrame({f"Column {n}": [1.5] * rows for n in range(width)}), height="content", key=f"t {number}")
