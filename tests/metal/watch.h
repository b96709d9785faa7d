// Who wrote and who read every byte: threads that meet at a byte without a barrier between them, and threadgroups that meet at all, are errors,
// whatever the values are.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <memory>
#include <string>
#include <vector>

class Watch {
    // Numbers of threadgroups from 1 (0 for none); threads from 1 with the barriers before them.
    struct Cell {
        uint32_t writer, reader;
        uint64_t writing_thread, reading_thread;
    };

    static const uint32_t Several = UINT32_MAX;

    struct Range {
        const char* name;
        int slot;
        const char* start;
        size_t bytes;
        std::unique_ptr<Cell, void (*)(void*)> cells;
    };

    std::vector<Range> ranges;

    static std::string place(const Range& range, size_t at) {
        return "byte " + std::to_string(at) + " of " + range.name + " " + std::to_string(range.slot);
    }

public:
    void add(const char* name, int slot, const void* start, size_t bytes) {
        ranges.push_back(Range{name, slot, (const char*)start, bytes, {(Cell*)calloc(bytes, sizeof(Cell)), free}});
    }

    void forget() { ranges.clear(); }

    std::string access(const void* address, size_t bytes, bool writes, uint32_t group, uint32_t thread, uint32_t epoch) {
        for (Range& range : ranges) {
            size_t at = (size_t)((const char*)address - range.start);
            if (at >= range.bytes) continue;
            for (size_t i = at; i < at + bytes && i < range.bytes; i++) {
                Cell& cell = range.cells.get()[i];
                if (cell.writer != 0 && cell.writer != group) {
                    return std::string(writes ? "two threadgroups write " : "a threadgroup reads what another writes: ") + place(range, i);
                }
                if (writes && cell.reader != 0 && cell.reader != group) return "a threadgroup writes what another reads: " + place(range, i);
                const uint64_t now = (uint64_t)epoch << 32 | thread;
                if ((cell.writing_thread != 0 && cell.writing_thread >> 32 == epoch && cell.writing_thread != now)
                    || (writes && cell.reading_thread != 0 && cell.reading_thread >> 32 == epoch && cell.reading_thread != now)) {
                    return "threads without a barrier between them meet at " + place(range, i);
                }
                if (writes) {
                    cell.writer = group;
                    cell.writing_thread = now;
                } else {
                    cell.reader = cell.reader == 0 || cell.reader == group ? group : Several;
                    const bool other = cell.reading_thread >> 32 == epoch && cell.reading_thread != 0 && cell.reading_thread != now;
                    cell.reading_thread = other ? (uint64_t)epoch << 32 | Several : now;
                }
            }
        }
        return "";
    }
};
