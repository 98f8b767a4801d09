// The smallest test runner that tells what failed and where. Neighbours: *_test.cc.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace check {

using Tests = std::vector<std::pair<const char*, std::function<void()>>>;
Tests& tests();

struct Test {
  Test(const char* name, std::function<void()> body) { tests().emplace_back(name, std::move(body)); }
};

inline void fail(const char* file, int line, const std::string& what) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  std::abort();
}

inline std::string show(const std::string& value) { return '"' + value + '"'; }
inline std::string show(const char* value) { return show(std::string(value)); }
template <typename T>
std::string show(const T& value) {
  return std::to_string(value);
}

}  // namespace check

#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_(a, b)
#define TEST(name) static void CONCAT(test, __LINE__)(); \
  static const check::Test CONCAT(added, __LINE__)(name, CONCAT(test, __LINE__)); \
  static void CONCAT(test, __LINE__)()
#define CHECK(what) do { if (!(what)) check::fail(__FILE__, __LINE__, #what); } while (false)
#define EQUAL(actual, expected) do { \
    const auto actual_ = (actual); const decltype(actual_) expected_(expected); \
    if (!(actual_ == expected_)) check::fail(__FILE__, __LINE__, std::string(#actual) + " is " + check::show(actual_) + ", not " + check::show(expected_)); \
  } while (false)
