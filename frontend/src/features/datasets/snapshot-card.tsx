import { Button, CopyButton, Group, List, Menu, Tabs, Text } from "@mantine/core";
import { useState } from "react";
import type { Snapshot } from "@/api/training-types";
import { Facts } from "@/components/facts";
import { Icon } from "@/components/icons";
import { SyntheticMark } from "@/components/synthetic-mark";
import { whole } from "@/lib/format";
import { dateTime } from "@/lib/time";
import { countsOf, exportUrl, snippets, SPLITS, type Counts } from "./exports";
import { useTexts } from "./texts";

type Format = "rankings" | "preference" | "sft" | "prompts";

function Copy({ text }: { text: string }) {
  const { t } = useTexts();
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => <Button size="compact-xs" variant="default" className="snippet-copy" onClick={copy}>{t(copied ? "copied" : "copy")}</Button>}
    </CopyButton>
  );
}

/** How a program gets the rows. */
function Snippets({ snapshot, format }: { snapshot: Snapshot; format: string }) {
  const { t } = useTexts();
  const both = snippets(location.origin, snapshot.id, format);
  return (
    <Tabs defaultValue="curl" keepMounted={false} variant="outline">
      <Tabs.List>
        <Tabs.Tab value="curl">curl</Tabs.Tab>
        <Tabs.Tab value="python">datasets</Tabs.Tab>
      </Tabs.List>
      {(["curl", "python"] as const).map((name) => (
        <Tabs.Panel key={name} value={name} className="snippet">
          <pre className="code-block" tabIndex={0} aria-label={t("snippet", { name })}>{both[name]}</pre>
          <Copy text={both[name]} />
        </Tabs.Panel>
      ))}
    </Tabs>
  );
}

function Downloads({ snapshot, format }: { snapshot: Snapshot; format: string }) {
  const { t } = useTexts();
  return (
    <Button.Group>
      <Button component="a" href={exportUrl(snapshot.id, format)} download leftSection={<Icon name="download" size={16} />} size="xs">{t("download", { format: t(`format.${format as Format}`) })}</Button>
      <Menu position="bottom-end">
        <Menu.Target>
          <Button size="xs" px={6} aria-label={t("download.split")}><Icon name="chevron" size={16} /></Button>
        </Menu.Target>
        <Menu.Dropdown>
          {SPLITS.map((split) => <Menu.Item key={split} component="a" href={exportUrl(snapshot.id, format, split)} download>{t(`split.${split}`)}</Menu.Item>)}
        </Menu.Dropdown>
      </Menu>
    </Button.Group>
  );
}

/** Two numbers that nobody should add up: answers that this snapshot lacks, and prompts that training never sees. */
function LeftOut({ counts }: { counts: Counts }) {
  const { t } = useTexts();
  const reasons = (["near", "cap", "pii"] as const).filter((reason) => counts.promptsOut[reason] > 0);
  return (
    <details className="snapshot-out">
      <summary>{t("out.why")}</summary>
      <List size="sm" mt={6}>
        {counts.leftOut ? <List.Item>{t("left-out.why")}</List.Item> : null}
        {reasons.map((reason) => <List.Item key={reason}>{t(`prompts-out.${reason}`, { count: counts.promptsOut[reason] })}</List.Item>)}
      </List>
    </details>
  );
}

/** A frozen dataset: what it holds, and ways to have it. */
export function SnapshotCard({ snapshot, isOpen }: { snapshot: Snapshot; isOpen: boolean }) {
  const { t, language } = useTexts();
  const [format, setFormat] = useState(snapshot.formats[0] ?? "");
  const counts = countsOf(snapshot.counts);
  const out = counts.promptsOut;
  const promptsOut = out.near + out.cap + out.pii;
  return (
    <details className="panel snapshot" open={isOpen}>
      <summary>
        <b>{t(`kind.${snapshot.kind}`)}</b>
        <span className="num">{t("rows", { count: counts.total })}</span>
        {snapshot.is_synthetic ? <SyntheticMark /> : null}
        <time className="num" dateTime={snapshot.as_of}>{dateTime(snapshot.as_of, language)}</time>
      </summary>
      <Facts
        facts={[
          ...SPLITS.map((split) => ({ label: t(`split.${split}`), value: whole(counts[split], language) })),
          !counts.labelers ? null : { label: t("labelers"), value: whole(counts.labelers, language) },
          !counts.leftOut ? null : { label: t("left-out"), value: whole(counts.leftOut, language) },
          !promptsOut ? null : { label: t("prompts-out"), value: whole(promptsOut, language) },
          { label: t("digest"), help: t("digest.help"), value: <span className="digest">{snapshot.digest}</span> },
        ]}
      />
      {counts.leftOut || promptsOut ? <LeftOut counts={counts} /> : null}
      {snapshot.kind === "measuring" ? <Text size="sm" c="dimmed" mt="md">{t("measuring")}</Text> : null}
      <Group mt="md" mb="xs" gap="sm">
        {snapshot.formats.map((one) => <Downloads key={one} snapshot={snapshot} format={one} />)}
      </Group>
      {snapshot.formats.length > 1 ? (
        <Group gap="xs" mb="xs">
          <Text size="sm" c="dimmed">{t("snippet.for")}</Text>
          {snapshot.formats.map((one) => (
            <Button key={one} size="compact-xs" variant={one === format ? "light" : "subtle"} color={one === format ? undefined : "gray"} aria-pressed={one === format} onClick={() => setFormat(one)}>{t(`format.${one as Format}`)}</Button>
          ))}
        </Group>
      ) : null}
      {format ? <Snippets snapshot={snapshot} format={format} /> : null}
    </details>
  );
}
