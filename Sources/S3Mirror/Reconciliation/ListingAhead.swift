import MirrorModel
import S3Client

/// Lists a prefix, several stretches of it at a time where a page takes long.
///
/// The pages that are handed out are those of one listing from its beginning. Ahead of it, stretches of a few pages are listed
/// that begin after a waypoint (`start-after`). Where a page holds the key with which a stretch begins, the listing goes on in the
/// stretch: what follows a key follows it wherever the listing began. Nothing more is asked of the server, no order and
/// no knowledge of the waypoint, so a stretch that is never met costs its requests and nothing else.
///
/// A million files at 30 ms a page: 4.9 s and 1,002 requests, where one page after the other took 34.8 s and 1,001; 100,000
/// files 0.7 and 3.4 s. At 1 ms a page nothing is won, so nothing is begun.
struct ListingAhead: Sendable {
  let listing: Listing
  let waypoints: Waypoints
  let mapping: KeyMapping
  var limits = Limits()

  struct Limits: Sendable {
    /// A first page that comes sooner leaves nothing to be won: reading a page takes about 1 ms.
    var slowPage = Duration.milliseconds(10)
    /// Stretches under way at one time. With their pages, and the walk that is as far ahead, some 15 MB.
    var stretches = 8
    var pages = Waypoints.pages
  }

  /// What was listed from a waypoint on.
  private struct Stretch: Sendable {
    var number: Int
    /// In order; none where the listing failed. Whoever comes here will list it again, and hear why.
    var pages: [Listing.Page] = []

    var firstKey: String? { pages.first?.content.objects.first?.key }
  }

  /// Hands out the pages in order, the next one being fetched while one is worked on.
  ///
  /// - Parameter body: false ends the listing.
  func forEachPage(_ body: (Listing.Page) async throws -> Bool) async throws {
    let start = ContinuousClock.now
    let first = try await listing.page(at: nil)
    guard first.next != nil, .now - start >= limits.slowPage else {
      return try await listing.forEachPage(from: first, body)
    }
    try await withThrowingTaskGroup(of: Stretch.self) { group in
      defer { group.cancelAll() }
      var ahead = Ahead(listing: self)
      var page = first
      var following: ArraySlice<Listing.Page> = []
      var trail = PageTrail()
      while let token = page.next {
        ahead.launch(beyond: page, in: &group)
        if let (cut, stretch) = try await ahead.meet(page, in: &group) {
          guard try await body(cut) else { return }
          following = stretch[...]
        } else if following.isEmpty {
          // Only what is asked for here can go round in a circle: a stretch ends, and is met once.
          try trail.follow(token, of: listing.store.bucket)
          async let next = listing.page(at: token)
          guard try await body(page) else { return }
          page = try await next
          continue
        } else {
          guard try await body(page) else { return }
        }
        page = following.removeFirst()
      }
      _ = try await body(page)
    }
  }

  /// The stretches that were begun and not met yet, in the order of the walk.
  private struct Ahead {
    let listing: ListingAhead
    private var begun: [(number: Int, start: RelativePath)] = []
    private var ended: [Int: Stretch] = [:]
    private var count = 0
    /// A stretch was not met where it should have been: the server knows no `start-after`, or the bucket is in motion.
    private var isGivenUp = false

    init(listing: ListingAhead) {
      self.listing = listing
    }

    mutating func launch(beyond page: Listing.Page, in group: inout ThrowingTaskGroup<Stretch, any Error>) {
      while !isGivenUp, begun.count < listing.limits.stretches, let path = listing.waypoints.next() {
        let start = RelativePath(listing.mapping.key(for: path))
        if let last = page.lastKey, start < last { continue }
        count += 1
        begun.append((count, start))
        group.addTask { [listing, count] in await listing.stretch(count, after: start.string) }
      }
    }

    /// The part of the page that comes before a stretch, and the stretch.
    mutating func meet(
      _ page: Listing.Page, in group: inout ThrowingTaskGroup<Stretch, any Error>
    ) async throws -> (Listing.Page, [Listing.Page])? {
      guard let last = page.lastKey else { return nil }
      while let next = begun.first, next.start < last {
        begun.removeFirst()
        let stretch = try await end(of: next.number, in: &group)
        // The page's unreadable keys have no place in it, so it cannot be cut.
        if page.content.unreadableKeys.isEmpty, let key = stretch.firstKey,
          let place = page.content.objects.lastIndex(where: { $0.key.utf8.elementsEqual(key.utf8) })
        {
          var cut = page
          cut.content.objects.removeSubrange(place...)
          return (cut, stretch.pages)
        }
        isGivenUp = true
      }
      return nil
    }

    private mutating func end(
      of number: Int, in group: inout ThrowingTaskGroup<Stretch, any Error>
    ) async throws -> Stretch {
      while ended[number] == nil, let stretch = try await group.next() { ended[stretch.number] = stretch }
      return ended.removeValue(forKey: number) ?? Stretch(number: number)
    }
  }

  private func stretch(_ number: Int, after key: String) async -> Stretch {
    var stretch = Stretch(number: number)
    do {
      var page = try await listing.page(after: key)
      while true {
        stretch.pages.append(page)
        guard stretch.pages.count < limits.pages, let token = page.next else { return stretch }
        page = try await listing.page(at: token)
      }
    } catch {
      return Stretch(number: number)
    }
  }
}

extension Listing.Page {
  fileprivate var lastKey: RelativePath? { content.objects.last.map { RelativePath($0.key) } }
}
