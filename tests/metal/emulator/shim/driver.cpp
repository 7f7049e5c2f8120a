// Reads one launch, runs it twice, and writes the outputs of both runs.
//
// The job is text: grid and group, then a line for each buffer in binding order,
// "i <bytes> <start modulo 16> <byte of element 0>" or "o <bytes>"; the inputs' bytes follow
// each other in the data file.
#include "buffers.h"

namespace rt {

struct Binding {
  char kind;
  size_t size, misalignment, origin;
};

static std::vector<Binding> read_job(const char* path) {
  FILE* job = fopen(path, "r");
  if (!job || fscanf(job, "%u %u %u %u %u %u", &grid.x, &grid.y, &grid.z, &group.x, &group.y,
                     &group.z) != 6) {
    fail("unreadable job", 0);
  }
  group = {least(group.x, grid.x), least(group.y, grid.y), least(group.z, grid.z)};
  std::vector<Binding> bindings;
  Binding b;
  while (fscanf(job, " %c %zu %zu %zu", &b.kind, &b.size, &b.misalignment, &b.origin) == 4) {
    bindings.push_back(b);
  }
  fclose(job);
  return bindings;
}

static void run_once(const std::vector<Binding>& bindings, const char* data, FILE* results,
                     bool collectives, bool front) {
  FILE* inputs = fopen(data, "rb");
  for (const Binding& b : bindings) {
    Buffer& buffer = new_buffer(b.size, b.misalignment, b.origin, front);
    if (b.kind != 'i') continue;
    if (fread(buffer.start, 1, b.size, inputs) != b.size) fail("data too short", 0);
    make_read_only(buffer);
  }
  fclose(inputs);
  run_grid(collectives);
  check_padding();
  for (size_t i = 0; i < bindings.size(); ++i) {
    if (bindings[i].kind == 'o') fwrite(buffers[i].start, 1, buffers[i].size, results);
  }
  drop_buffers();
}

int drive(char** arguments, bool collectives) {
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
  const std::vector<Binding> bindings = read_job(arguments[1]);
  FILE* results = fopen(arguments[3], "wb");
  // Another order, other poison, other neighbours in memory: a right kernel cannot tell.
  for (int run = 0; run < 2; ++run) {
    reversed = run == 1;
    poison_byte = run == 1 ? 0x2A : 0xFF;
    run_once(bindings, arguments[2], results, collectives, run == 1);
  }
  fclose(results);
  return 0;
}

}  // namespace rt
