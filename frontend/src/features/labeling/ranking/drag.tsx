import { DndContext, DragOverlay, type DragEndEvent, pointerWithin, PointerSensor, useDraggable, useDroppable, useSensor, useSensors } from "@dnd-kit/core";
import { useState, type ReactNode } from "react";
import { letterOf, type Place } from "./ranking";

/** The handle of a card: its letter, on the card and in the shelf. Keys and a list do the same without a mouse. */
export function useDragHandle(card: number, where: "card" | "shelf") {
  const { setNodeRef, listeners } = useDraggable({ id: `${where}-${card}`, data: { card } });
  return { attach: setNodeRef, listeners };
}

export function useDropPlace(id: string, place: Place) {
  const { setNodeRef, isOver } = useDroppable({ id, data: { place } });
  return { attach: setNodeRef, isOver };
}

const SILENT = { onDragStart: () => undefined, onDragOver: () => undefined, onDragEnd: () => undefined, onDragCancel: () => undefined };

/** Dragging of cards between tiers; the shelf's own live region tells what happened. */
export function DragBoard({ onDrop, isReadOnly, children }: { onDrop: (card: number, to: Place) => void; isReadOnly: boolean; children: ReactNode }) {
  const [dragged, setDragged] = useState<number | null>(null);
  // A click is not a drag, and a finger that scrolls is not one either.
  const sensors = useSensors(useSensor(PointerSensor, { activationConstraint: { distance: 6 } }));
  const drop = ({ active, over }: DragEndEvent) => {
    setDragged(null);
    const card = active.data.current?.["card"] as number | undefined;
    const place = over?.data.current?.["place"] as Place | undefined;
    if (card !== undefined && place) onDrop(card, place);
  };
  return (
    <DndContext
      sensors={isReadOnly ? [] : sensors}
      collisionDetection={pointerWithin}
      accessibility={{ announcements: SILENT, screenReaderInstructions: { draggable: "" } }}
      onDragStart={({ active }) => setDragged((active.data.current?.["card"] as number | undefined) ?? null)}
      onDragCancel={() => setDragged(null)}
      onDragEnd={drop}
    >
      {children}
      <DragOverlay dropAnimation={null}>{dragged === null ? null : <span className="chip chip-dragged">{letterOf(dragged)}</span>}</DragOverlay>
    </DndContext>
  );
}
