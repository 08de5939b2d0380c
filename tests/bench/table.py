"""The tables of the benches: each server's figures, and both beside each other with ratios and targets."""

from targets import target_of


def figure(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def span(spread):
    return "" if not spread or spread[0] == spread[1] else f"{figure(spread[0])}-{figure(spread[1])}"


def milliseconds(us):
    return "" if us is None else figure(us / 1000)


def times_better(unit, ours, theirs):
    """Above 1 in Postroom's favour; None when there is nothing to divide. Less than 10 us is not told apart from 10 us."""
    least = 0.01 if unit == "ms" else 0
    ours, theirs = max(ours, least), max(theirs, least)
    if ours <= 0 or theirs <= 0:
        return None
    return ours / theirs if unit == "/s" else theirs / ours


def brief(row):
    """A row as it comes, in one line."""
    parts = [row[key] for key in ("postroom", "peer") if key in row]
    invalid = next((part["invalid"] for part in parts if part["invalid"]), None)
    return (f"{row['scenario']}: {' and '.join(figure(part['value']) for part in parts)} {row['unit']}" +
            (f", {figure(row['ratio'])} times" if row["ratio"] else "") + (f"  invalid: {invalid}" if invalid else ""))


def aligned(lines, left):
    """left: columns that begin at the left; the last column is never padded."""
    last = len(lines[0]) - 1
    widths = [max(len(line[i]) for line in lines) for i in range(last)]
    return "\n".join("  ".join([cell.ljust(width) if i in left else cell.rjust(width)
                                for i, (cell, width) in enumerate(zip(line, widths))] + [line[last]]).rstrip() for line in lines)


def detail(groups, key):
    """One server's figures out of (group, seconds, rows)."""
    lines = [("", "value", "unit", "p50 ms", "p95 ms", "p99 ms", "CPU us/op", "own %", "times", "spread", "")]
    for group, seconds, rows in groups:
        if any(key in row for row in rows):
            lines.append((f"{group.upper()} ({seconds:.0f} s)",) + ("",) * 10)
        for row in rows:
            part = row.get(key)
            if not part:
                continue
            note = "; ".join(text for text in (
                part["invalid"] and f"INVALID: {part['invalid']}", part["note"],
                f"others used {part['others_percent']:.0f} % of the machine" if part["others_percent"] >= 15 else None) if text)
            lines.append(("  " + row["scenario"], figure(part["value"]), row["unit"], *(milliseconds(part[p]) for p in ("p50", "p95", "p99")),
                          figure(part["cpu_us"]), "" if part["own_percent"] is None else f"{part['own_percent']:.0f}",
                          f"{part['times']}", span(part["spread"]), note))
    return aligned(lines, (0, 2))


HEAD = ("", "Postroom", "Postfix + Dovecot", "unit", "ratio", "of pairs", "CPU ratio", "of limit", "target", "")


def comparison(groups, markdown=False):
    """Both servers, the ratios, the targets, and a line that counts what was met."""
    lines, counts = [HEAD], {"met": 0, "missed": 0, "invalid": 0}
    for group, seconds, rows in groups:
        if not markdown:
            lines.append((f"{group.upper()} ({seconds:.0f} s)",) + ("",) * 9)
        for row in rows:
            ours, theirs = row.get("postroom"), row.get("peer")
            invalid = next((part["invalid"] for part in (ours, theirs) if part and part["invalid"]), None)
            target = target_of(row["scenario"])
            verdict = "invalid" if invalid else target.verdict(row) if target else ""
            if verdict:
                counts[verdict] += 1
            lines.append((("" if markdown else "  ") + row["scenario"], figure(ours and ours["value"]), figure(theirs and theirs["value"]),
                          row["unit"], figure(row["ratio"]), span(row["ratio_spread"]), figure(row["cpu_ratio"]),
                          f"{row['share']:.0f} %" if row["share"] is not None else "", str(target) if target else "",
                          f"INVALID: {invalid}" if invalid else verdict))
    if markdown:
        lines[0] = ("scenario", *HEAD[1:9], "")
        text = "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], ("---", "--:", "--:", "---", *("--:",) * 5, "---"), *lines[1:]])
    else:
        text = aligned(lines, (0, 3))
    return f"{text}\n\n{counts['met']} targets met, {counts['missed']} missed, {counts['invalid']} rows invalid"


def agreement(groups, earlier, percent=20):
    """Which ratios differ by more than so much from those of another run's rows; the ratio of processor time stands beside them."""
    before = {row["scenario"]: row for row in earlier}
    lines, agree = [("", "before", "now", "CPU before", "CPU now", "")], 0
    for row in (row for _, _, rows in groups for row in rows):
        was = before.get(row["scenario"], {})
        if not row["ratio"] or not was.get("ratio"):
            continue
        if max(row["ratio"], was["ratio"]) <= min(row["ratio"], was["ratio"]) * (1 + percent / 100):
            agree += 1
            continue
        lines.append((row["scenario"], *(figure(one[key]) for key in ("ratio", "cpu_ratio") for one in (was, row)), ""))
    return f"{agree} ratios agree with those of the other run within {percent} %, {len(lines) - 1} do not\n" + (
        aligned(lines, (0,)) if len(lines) > 1 else "")
