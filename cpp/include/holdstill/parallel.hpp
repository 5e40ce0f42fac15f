// Work over independent items on threads, without any process-wide setting.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace holdstill {

// 0 asks for one thread per processor.
inline int thread_count(int requested, int n_items) {
  int threads = requested > 0 ? requested : static_cast<int>(std::thread::hardware_concurrency());
  return std::max(1, std::min(threads, n_items));
}

// Calls work(thread, item) for every item; items are handed out one by one, so that the order of
// execution, and nothing else, depends on the threads. The first exception is thrown again.
template <typename Work>
void parallel_for(int n_items, int threads, Work&& work) {
  threads = thread_count(threads, n_items);
  if (threads == 1) {
    for (int item = 0; item < n_items; ++item) work(0, item);
    return;
  }
  std::atomic<int> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto run = [&](int thread) {
    try {
      for (int item = next++; item < n_items; item = next++) work(thread, item);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(failure_mutex);
      if (!failure) failure = std::current_exception();
      next = n_items;
    }
  };
  std::vector<std::thread> pool;
  pool.reserve(threads);
  try {
    for (int thread = 1; thread < threads; ++thread) pool.emplace_back(run, thread);
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
    // The system gives no more: those that run do all of the work.
  }
  run(0);
  for (std::thread& thread : pool) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace holdstill
