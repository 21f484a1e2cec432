import S3Client

/// A prefix's objects, page by page.
struct Listing {
  enum Order {
    /// Every key must come after the one before, by UTF-8 bytes, as S3 lists; otherwise `OutOfOrder` is thrown.
    case ascending
    case any
  }

  /// The server does not list in key order (SeaweedFS lists in tree order), so streams cannot be merged.
  struct OutOfOrder: Error {}

  private let store: any ObjectStore
  private let prefix: String
  private let order: Order
  private var page: [ListedObject] = []
  private var position = 0
  private var token: String?
  private var isLastPage = false
  private var lastKey: String?
  /// The server's clock minus ours at the first page, in nanoseconds; nil where it sent no `Date`.
  private(set) var serverDate: Int64?
  /// Keys that are not UTF-8, as they were sent: they have no path here.
  private(set) var unreadableKeys: [String] = []

  init(store: any ObjectStore, prefix: String, order: Order) {
    self.store = store
    self.prefix = prefix
    self.order = order
  }

  mutating func next() async throws -> ListedObject? {
    while position == page.count {
      if isLastPage { return nil }
      try await fetchPage()
    }
    let object = page[position]
    position += 1
    if case .ascending = order {
      if let lastKey, !lastKey.utf8.lexicographicallyPrecedes(object.key.utf8) { throw OutOfOrder() }
      lastKey = object.key
    }
    return object
  }

  private mutating func fetchPage() async throws {
    let answer = try await store.send(ListObjectsV2(prefix: prefix, continuationToken: token))
    if serverDate == nil { serverDate = answer.serverDate }
    isLastPage = !answer.isTruncated
    if answer.isTruncated {
      // An early end would make files look deleted, and a repeated token would be listed for ever.
      guard let next = answer.nextContinuationToken, next != token else {
        throw S3Error(
          operation: ListObjectsV2.name, bucket: store.bucket, key: nil, status: 200, code: "BrokenListing",
          message: "the server says that there is more, but not where")
      }
      token = next
    }
    unreadableKeys += answer.unreadableKeys
    page = answer.objects
    position = 0
  }
}
