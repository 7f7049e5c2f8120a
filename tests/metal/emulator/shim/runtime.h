// What a translated kernel needs to know of the machine that runs it; driver.cpp is the machine.
#pragma once
#include <cstdint>
#include <cstring>
#include <sys/types.h>

namespace rt {

struct Index3 {
  unsigned x, y, z;
};
inline unsigned volume(Index3 n) { return n.x * n.y * n.z; }

static const unsigned kLanes = 32;

// The launch, and the place of the running group; group_size is cut at the edge of the grid.
extern Index3 grid, group, group_place, group_size;
extern unsigned char poison_byte;
extern void (*body)(Index3);

enum class Wait { none, simdgroup, group };

unsigned lane();
// Ends the program with what went wrong.
[[noreturn]] void fail(const char* what, int line);
// Lets the others run until all have come to the same place.
void pause(Wait wait, int line);
// Shows a value to the other lanes of the simdgroup once all have come to the same place.
void post(const void* value, size_t size, int line);
// Reads what another lane posted; false if that lane is not there or has returned.
bool peek(int other, void* value, size_t size);
// Declares threadgroup memory; it is filled with poison when a group first meets it.
void share(void* memory, size_t size);

struct Argument {
  void* memory;
  template <typename T>
  operator T*() const { return static_cast<T*>(memory); }
};
struct ArgumentReference {
  void* memory;
  template <typename T>
  operator T&() const { return *static_cast<T*>(memory); }
};
void* element0(int buffer);
inline Argument pointer(int buffer) { return {element0(buffer)}; }
inline ArgumentReference reference(int buffer) { return {element0(buffer)}; }

int drive(char** arguments, bool collectives);

}  // namespace rt
