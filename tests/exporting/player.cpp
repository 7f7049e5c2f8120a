// Plays a tape: follows objects with a bundle and nothing else, and compares every mask.
//   player BUNDLE TAPE DATA
#include <mlx/export.h>
#include <mlx/mlx.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace mx = mlx::core;
using Arrays = std::vector<mx::array>;

struct Memory {
  mx::array tokens, pointer;
};

struct Player {
  mx::ImportedFunction bundle;
  std::unordered_map<std::string, mx::array> data;
  std::vector<std::pair<int, int>> tiers;
  float span;
  Arrays features{};  // coarse, fine, middle, bare
  std::map<int, std::map<int, Memory>> memories{};
  std::map<int, Arrays> answers{};
  float worst = 0, largest = 0;
  long flipped = 0, pixels = 0;
  int compared = 0;

  Arrays call(const mx::Kwargs& arguments) const { return bundle(arguments); }

  mx::array row(const std::string& name, int index) const {
    return mx::expand_dims(mx::take(data.at(name), index, 0), 0);
  }

  mx::array attend(int name, std::istringstream& words) const {
    std::vector<int> slots;
    std::vector<float> distances;
    Arrays spatial, pointers;
    int count, frame, number;
    words >> count;
    for (int i = 0; i < count; ++i) {
      words >> frame >> number;
      spatial.push_back(memories.at(name).at(frame).tokens);
      slots.push_back(number);
    }
    words >> count;
    for (int i = 0; i < count; ++i) {
      words >> frame >> number;
      pointers.push_back(memories.at(name).at(frame).pointer);
      distances.push_back(number / span);
    }
    std::vector<int> used{int(spatial.size()), int(pointers.size())};
    if (used[0] == 0) return features[3];
    auto tier = *std::find_if(tiers.begin(), tiers.end(), [&](auto t) {
      return t.first >= used[0] && t.second >= used[1];
    });
    slots.resize(tier.first);
    distances.resize(tier.second);
    auto padded = [](const Arrays& some, int count) {
      auto all = mx::stack(some, 1);
      return mx::pad(all, std::vector<int>{1}, mx::Shape{0}, mx::Shape{count - int(some.size())});
    };
    return call({{"coarse", features[0]},
                 {"spatial", padded(spatial, tier.first)},
                 {"slots", mx::array(slots.begin(), mx::Shape{tier.first}, mx::int32)},
                 {"pointers", padded(pointers, tier.second)},
                 {"distances", mx::array(distances.begin(), mx::Shape{1, tier.second}, mx::float32)},
                 {"used", mx::array(used.begin(), mx::Shape{2}, mx::int32)}})[0];
  }

  mx::Kwargs masks(const mx::array& conditioned) const {
    return {{"conditioned", conditioned}, {"fine", features[1]}, {"middle", features[2]}};
  }

  void compare(int name, int index) {
    auto found = answers.at(name)[0], wanted = mx::expand_dims(row("logits", index), 0);
    worst = std::max(worst, mx::max(mx::abs(found - wanted)).item<float>());
    // An absent object has -1024 everywhere.
    largest = std::max(largest, mx::max(mx::minimum(mx::abs(wanted), mx::array(64.0f))).item<float>());
    auto zero = mx::array(0.0f);
    flipped += mx::sum(mx::not_equal(found > zero, wanted > zero)).item<int>();
    pixels += wanted.size();
    ++compared;
  }

  void play(const std::string& line) {
    std::istringstream words(line);
    std::string word;
    int name = 0, frame = 0;
    words >> word >> name;
    if (word == "frame") {
      features = call({{"image", row("frames", name)}});
    } else if (word == "track") {
      words >> frame;
      auto& answer = answers[name] = call(masks(attend(name, words)));
      auto tokens = call(
          {{"coarse", features[0]}, {"predicted", answer[0]}, {"presence", answer[3]}})[0];
      mx::eval(answer[0], tokens, answer[2]);
      memories[name].insert_or_assign(frame, Memory{tokens, answer[2]});
    } else if (word == "click") {
      int again, count;
      words >> again >> count;
      std::vector<float> coords(2 * count);
      std::vector<int> labels(count);
      for (int i = 0; i < count; ++i) words >> coords[2 * i] >> coords[2 * i + 1] >> labels[i];
      auto arguments = masks(attend(name, words));
      arguments.emplace("coords", mx::array(coords.begin(), mx::Shape{1, count, 2}, mx::float32));
      arguments.emplace("labels", mx::array(labels.begin(), mx::Shape{1, count}, mx::int32));
      if (again) arguments.emplace("previous", answers.at(name)[0]);
      answers[name] = call(arguments);
    } else if (word == "mask") {
      answers[name] = call({{"coarse", features[0]},
                            {"fine", features[1]},
                            {"middle", features[2]},
                            {"mask", mx::expand_dims(row("masks", frame = index(words)), 0)}});
    } else if (word == "remember") {
      words >> frame;
      auto& answer = answers.at(name);
      auto tokens =
          call({{"coarse", features[0]}, {"shown", answer[0]}, {"presence", answer[3]}})[0];
      mx::eval(tokens, answer[2]);
      memories[name].insert_or_assign(frame, Memory{tokens, answer[2]});
    } else if (word == "expect") {
      compare(name, index(words));
    }
  }

  static int index(std::istringstream& words) {
    int value;
    words >> value;
    return value;
  }
};

int main(int, char** arguments) {
  std::string folder = arguments[1];
  std::ifstream tape(arguments[2]);
  Player player{
      mx::import_function(folder + "/model.mlxfn"), mx::load_safetensors(arguments[3]).first, {}, 0};
  std::string line;
  while (std::getline(tape, line)) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word == "span") {
      words >> player.span;
    } else if (word == "tier") {
      int spatial, pointers;
      words >> spatial >> pointers;
      player.tiers.emplace_back(spatial, pointers);
    } else {
      player.play(line);
    }
  }
  std::printf("%d %g %g %ld %ld\n", player.compared, player.worst, player.largest, player.flipped,
              player.pixels);
}
