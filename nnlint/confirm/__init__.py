"""Runtime mode: run the user's script in a child process under a probe, and judge each finding by what happened there.

    job → launch (child: entry, guard, probe → records) → evidence → judgement → verdicts

Nothing here is imported by a static run, and nothing but `child/` ever imports torch.
"""
