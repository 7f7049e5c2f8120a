// The buffers of a launch, between pages that may not be touched.
#pragma once
#include <csignal>
#include <sys/mman.h>
#include "threads.h"

namespace rt {

struct Buffer {
  unsigned char *map, *start, *element0;
  size_t map_size, size;
};
static std::vector<Buffer> buffers;
static const size_t kPage = 4096, kAlignment = 16;

// At its end a buffer touches the guard page as closely as its alignment lets it; with `front`
// it does so at its start.
inline Buffer& new_buffer(size_t size, size_t misalignment, size_t origin, bool front) {
  const size_t room = (size + 2 * kAlignment + kPage - 1) / kPage * kPage;
  auto* map = static_cast<unsigned char*>(mmap(nullptr, room + 2 * kPage, PROT_READ | PROT_WRITE,
                                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (map == MAP_FAILED) fail("no memory for a buffer", 0);
  std::memset(map + kPage, poison_byte, room);
  mprotect(map, kPage, PROT_NONE);
  mprotect(map + kPage + room, kPage, PROT_NONE);
  unsigned char* start = map + kPage + misalignment;
  if (!front) {
    start = map + kPage + room - size;
    start -= (reinterpret_cast<uintptr_t>(start) + kAlignment - misalignment) % kAlignment;
  }
  buffers.push_back({map, start, start + origin, room + 2 * kPage, size});
  return buffers.back();
}

inline void make_read_only(const Buffer& buffer) {
  mprotect(buffer.map + kPage, buffer.map_size - 2 * kPage, PROT_READ);
}

// Writes that stay within the padding beside a buffer do not reach the guard page.
inline void check_padding() {
  for (size_t i = 0; i < buffers.size(); ++i) {
    const Buffer& buffer = buffers[i];
    const unsigned char* end = buffer.map + buffer.map_size - kPage;
    for (const unsigned char* p = buffer.map + kPage; p < end; ++p) {
      if (p == buffer.start) p += buffer.size;
      if (p < end && *p != poison_byte) {
        fprintf(stderr, "EMULATION: out of bounds: write at byte %ld of buffer %zu (%zu bytes)\n",
                long(p - buffer.start), i, buffer.size);
        _exit(4);
      }
    }
  }
}

inline void drop_buffers() {
  for (const Buffer& buffer : buffers) munmap(buffer.map, buffer.map_size);
  buffers.clear();
}

inline void on_fault(int, siginfo_t* info, void*) {
  auto* address = static_cast<unsigned char*>(info->si_addr);
  for (size_t i = 0; i < buffers.size(); ++i) {
    const Buffer& buffer = buffers[i];
    if (address < buffer.map || address >= buffer.map + buffer.map_size) continue;
    const bool inside = address >= buffer.start && address < buffer.start + buffer.size;
    fprintf(stderr, "EMULATION: %s: byte %ld of buffer %zu (%zu bytes), group %u,%u,%u\n",
            inside ? "write to an input" : "out of bounds", long(address - buffer.element0), i,
            buffer.size, group_place.x, group_place.y, group_place.z);
    _exit(4);
  }
  fprintf(stderr, "EMULATION: out of bounds: address %p, in no buffer\n", info->si_addr);
  _exit(4);
}

void* element0(int buffer) { return buffers[size_t(buffer)].element0; }

}  // namespace rt
