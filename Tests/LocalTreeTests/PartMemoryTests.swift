import Testing

@testable import LocalTree

@Suite struct PartMemoryTests {
  private let pool = PartMemory()
  private let part = 2 << 20

  @Test func `a part takes the memory that the part before it gave back`() {
    let other = PartBuffer(capacity: part, pool: pool)
    var first: PartBuffer? = PartBuffer(capacity: part, pool: pool)
    #expect(first != nil && pool.freeBytes == 0)
    first = nil
    #expect(pool.freeBytes == part)
    let second = PartBuffer(capacity: part, pool: pool)
    #expect(pool.freeBytes == 0)
    withExtendedLifetime((other, second)) {}
  }

  @Test func `nothing is kept when the last part has come back`() {
    var parts = (0..<3).map { _ in PartBuffer(capacity: part, pool: pool) }
    parts.removeLast()
    #expect(pool.freeBytes == part)
    parts = []
    #expect(pool.freeBytes == 0)
  }

  @Test func `kept and used memory together never exceed what was in use at one time`() {
    var parts = (0..<3).map { _ in PartBuffer(capacity: part, pool: pool) }
    parts.removeLast(2)
    #expect(pool.freeBytes == 2 * part)
    // A size that the pool does not have takes its place from what it has.
    parts.append(PartBuffer(capacity: part + 1, pool: pool))
    #expect(pool.freeBytes == 0)
    withExtendedLifetime(parts) {}
  }

  @Test func `small buffers are left to malloc`() {
    let large = PartBuffer(capacity: part, pool: pool)
    var small: PartBuffer? = PartBuffer(capacity: PartMemory.smallestKept - 1, pool: pool)
    #expect(small != nil)
    small = nil
    #expect(pool.freeBytes == 0)
    withExtendedLifetime(large) {}
  }
}
