// Runs a grid of GPU threads on one CPU thread.
//
// A kernel without collectives is a plain loop. With barriers or simdgroup operations every
// thread of a group is a fiber, and each simdgroup runs as far as it can before the next one
// starts: of all legal orders the one that least resembles lockstep.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <ucontext.h>
#include <unistd.h>
#include <vector>
#include "runtime.h"

namespace rt {

inline unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

struct Fiber {
  ucontext_t context;
  bool done;
  Wait wait;
  int line;
  Index3 place;
  unsigned index;
  alignas(16) unsigned char slot[64];
};

static const size_t kStack = 64 * 1024;
static const size_t kSharedLimit = 32 * 1024;

Index3 grid, group, group_place, group_size;
unsigned char poison_byte;
void (*body)(Index3);
static bool reversed;

static std::vector<Fiber> fibers;
static std::vector<char*> stacks;
static ucontext_t scheduler;
static Fiber* current = nullptr;

[[noreturn]] void fail(const char* what, int line) {
  fprintf(stderr, "EMULATION: %s (line %d, group %u,%u,%u, thread %u)\n", what, line,
          group_place.x, group_place.y, group_place.z, current ? current->index : 0);
  _exit(3);
}

// ---- threadgroup memory: filled with poison when a group first meets it

struct Shared {
  void* memory;
  size_t size;
};
static std::vector<Shared> shared_memory;

void share(void* memory, size_t size) {
  size_t total = size;
  for (const Shared& known : shared_memory) {
    if (known.memory == memory) return;
    total += known.size;
  }
  if (total > kSharedLimit) fail("more than 32 KiB of threadgroup memory", 0);
  shared_memory.push_back({memory, size});
  std::memset(memory, poison_byte, size);
}

// ---- collectives

unsigned lane() { return current->index % kLanes; }

void pause(Wait wait, int line) {
  if (!current) fail("a collective in a kernel that was taken for one without", line);
  current->wait = wait;
  current->line = line;
  swapcontext(&current->context, &scheduler);
}

void post(const void* value, size_t size, int line) {
  if (size > sizeof current->slot) fail("a value too large for a simdgroup operation", line);
  std::memcpy(current->slot, value, size);
  pause(Wait::simdgroup, line);
}

bool peek(int other, void* value, size_t size) {
  const unsigned index = current->index - lane() + unsigned(other);
  if (other < 0 || other >= int(kLanes) || index >= fibers.size() || fibers[index].done) {
    return false;
  }
  std::memcpy(value, fibers[index].slot, size);
  return true;
}

// ---- one group

inline void fiber_main() {
  body(current->place);
  current->done = true;
  setcontext(&scheduler);
}

inline void prepare_fibers(unsigned count) {
  fibers.resize(count);
  while (stacks.size() < count) stacks.push_back(static_cast<char*>(std::malloc(kStack)));
  for (unsigned i = 0; i < count; ++i) {
    Fiber& fiber = fibers[i];
    fiber.done = false;
    fiber.wait = Wait::none;
    fiber.index = i;
    fiber.place = {i % group_size.x, i / group_size.x % group_size.y,
                   i / (group_size.x * group_size.y)};
    // The top of the stack is what an uninitialised local variable would read.
    std::memset(stacks[i] + kStack - 4096, poison_byte, 4096);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stacks[i];
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, fiber_main, 0);
  }
}

// Lets lanes go on that all stand at the same simdgroup operation.
inline bool release_lanes(unsigned first, unsigned last) {
  Fiber* waiting = nullptr;
  for (unsigned i = first; i < last; ++i) {
    Fiber& fiber = fibers[i];
    if (fiber.done) continue;
    if (fiber.wait != Wait::simdgroup) return false;
    if (waiting && waiting->line != fiber.line) {
      current = &fiber;
      fail("divergent simdgroup operation", fiber.line);
    }
    waiting = &fiber;
  }
  if (!waiting) return false;
  for (unsigned i = first; i < last; ++i) fibers[i].wait = Wait::none;
  return true;
}

inline bool run_simdgroup(unsigned first, unsigned last) {
  bool progress = false;
  do {
    for (unsigned k = first; k < last; ++k) {
      Fiber& fiber = fibers[reversed ? first + last - 1 - k : k];
      if (fiber.done || fiber.wait != Wait::none) continue;
      current = &fiber;
      progress = true;
      swapcontext(&scheduler, &fiber.context);
    }
  } while (release_lanes(first, last));
  return progress;
}

// Lets the group go on if all of it stands at one barrier.
inline bool release_group() {
  int line = 0;
  for (Fiber& fiber : fibers) {
    if (!fiber.done && fiber.wait == Wait::group) line = fiber.line;
  }
  if (!line) return false;
  for (Fiber& fiber : fibers) {
    if (!fiber.done && fiber.wait == Wait::group && fiber.line == line) continue;
    current = &fiber;
    fail("barrier in divergent flow: not all threads of the group reach it", line);
  }
  for (Fiber& fiber : fibers) fiber.wait = Wait::none;
  return true;
}

inline void run_group_of_fibers() {
  const unsigned count = volume(group_size);
  const unsigned simdgroups = (count + kLanes - 1) / kLanes;
  prepare_fibers(count);
  for (;;) {
    bool progress = false;
    for (unsigned k = 0; k < simdgroups; ++k) {
      const unsigned first = kLanes * (reversed ? simdgroups - 1 - k : k);
      progress |= run_simdgroup(first, least(count, first + kLanes));
    }
    unsigned left = 0;
    for (Fiber& fiber : fibers) left += !fiber.done;
    if (!left) return;
    if (!release_group() && !progress) fail("deadlock: lanes wait for different things", 0);
  }
}

__attribute__((noinline)) inline void dirty_stack() {
  volatile unsigned char trash[1024];
  std::memset(const_cast<unsigned char*>(trash), poison_byte, sizeof trash);
}

inline void run_group_as_loop() {
  const unsigned count = volume(group_size);
  for (unsigned k = 0; k < count; ++k) {
    const unsigned i = reversed ? count - 1 - k : k;
    dirty_stack();
    body({i % group_size.x, i / group_size.x % group_size.y, i / (group_size.x * group_size.y)});
  }
}

// dispatchThreads: the grid counts threads, groups at its edge are smaller.
inline void run_grid(bool collectives) {
  const Index3 groups = {(grid.x + group.x - 1) / group.x, (grid.y + group.y - 1) / group.y,
                         (grid.z + group.z - 1) / group.z};
  const unsigned count = volume(groups);
  for (unsigned k = 0; k < count; ++k) {
    const unsigned i = reversed ? count - 1 - k : k;
    group_place = {i % groups.x, i / groups.x % groups.y, i / (groups.x * groups.y)};
    group_size = {least(group.x, grid.x - group_place.x * group.x),
                  least(group.y, grid.y - group_place.y * group.y),
                  least(group.z, grid.z - group_place.z * group.z)};
    shared_memory.clear();
    current = nullptr;
    if (collectives) {
      run_group_of_fibers();
    } else {
      run_group_as_loop();
    }
  }
}

}  // namespace rt
