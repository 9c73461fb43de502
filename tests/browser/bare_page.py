"""A page of plain Streamlit with the kinds of elements that the dashboard has, and nothing of the dashboard's own.

Captions are not among them: those of Streamlit's own theme are too pale, and the dashboard's are not.
"""

from datetime import date

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

ROWS = pd.DataFrame({"Name": ["One", "Two"], "Amount": [1.0, 2.0]})

st.set_page_config(layout="wide")
st.navigation([st.Page(lambda: None, title="Page", icon=":material/call:", url_path="page")])
with st.sidebar:
    st.markdown("**Source** :green-badge[:material/check_circle: Current]")
    st.button("Now", icon=":material/sync:", width="stretch")
    st.progress(0.5, text="Half of it")

st.title("Title")
st.markdown(":orange-badge[:material/science: Badge] :small[Small words] :gray[Grey words:] `code`")
with st.container(horizontal=True):
    st.selectbox("One of", ["First", "Second"])
    st.multiselect("Some of", ["First", "Second"], ["First"])
    st.toggle("Switch", help="What it does.")
    st.toggle("Off", disabled=True)
    st.date_input("Day", date(2026, 1, 1))
    st.date_input("From and to", (date(2026, 1, 1), date(2026, 1, 2)))
    st.text_input("Text", placeholder="Any")
    st.number_input("Page", 1, 9)
    st.segmented_control("Either", ["This", "That"], default="This")
with st.grid(2, min_column_width=165):
    st.metric("Up", "$1", delta="+1 %", delta_color="inverse", help="Formula.", border=True, chart_data=[1, 2, 1])
    st.metric("Off", "1", delta="-1 %", delta_color="off", border=True, chart_data=[1, 2, 1], chart_type="area")
st.plotly_chart(go.Figure(go.Bar(name="Bar", x=["a", "b"], y=[1, 2])), config={"displayModeBar": False}, alt="Bars")
st.dataframe(ROWS, hide_index=True, on_select="rerun", selection_mode="single-row", alt="Rows")
st.table(ROWS)
st.download_button("Download", "text", icon=":material/download:")
st.button("First", type="primary")
st.button("Disabled", disabled=True)
st.subheader("Section", anchor="section")
with st.form("form"):
    st.text_input("Name")
    st.form_submit_button("Add", icon=":material/add:")
with st.expander("More", icon=":material/call:"):
    st.write("Words")
st.file_uploader("File", type="csv")
st.info("Words", icon=":material/history:")
st.warning("Words", icon=":material/warning:")
st.error("Words", icon=":material/error:")
st.success("Words", icon=":material/check_circle:")
with st.chat_message("Agent", avatar=":material/smart_toy:"):
    st.markdown("Words")
