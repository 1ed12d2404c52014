/* sanitized.h - SANITIZED: 1 in a build whose sanitizer keeps memory of its own, which no plan knows and no limit should.
 * SANITIZED_THREADS: 1 where that is the thread sanitizer, which is slow and has nothing to see in one thread. */
#ifndef ACE_TESTS_SANITIZED_H
#define ACE_TESTS_SANITIZED_H

#if defined(__SANITIZE_THREAD__)
#define SANITIZED_THREADS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZED_THREADS 1
#endif
#endif
#ifndef SANITIZED_THREADS
#define SANITIZED_THREADS 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED SANITIZED_THREADS
#endif

#endif
