"""The bill for whoever owns the budget: as rows, as a workbook that computes, as FOCUS rows, and beside what came."""
