// Counts this thread's heap allocations: operator new, and where the C library allows it malloc,
// which Eigen calls directly.
#pragma once

#include <cstddef>  // defines __GLIBC__ where that is the C library

// The sanitizers have a malloc of their own.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HOLDSTILL_COUNTS_MALLOC
#endif

namespace holdstill::testing {

class AllocationCount {
 public:
  AllocationCount();
  long count() const;

 private:
  long start_;
};

}  // namespace holdstill::testing
