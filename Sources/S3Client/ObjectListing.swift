extension ObjectStore {
  /// All pages of a listing. Each page is requested after the page before was taken.
  package func listing(prefix: String = "", delimiter: String? = nil) -> ObjectListing {
    ObjectListing(store: self, first: ListObjectsV2(prefix: prefix, delimiter: delimiter))
  }
}

/// The pages of a listing. An incomplete listing ends with an error, because a listing that wrongly counts as
/// complete would make files look deleted.
package struct ObjectListing: AsyncSequence {
  let store: any ObjectStore
  let first: ListObjectsV2

  package struct Iterator: AsyncIteratorProtocol {
    let store: any ObjectStore
    var next: ListObjectsV2?
    var trail = PageTrail()

    package mutating func next() async throws -> ListObjectsV2.Output? {
      guard var operation = next else { return nil }
      let page = try await store.send(operation)
      next = nil
      guard page.isTruncated, let token = page.nextContinuationToken else { return page }
      try trail.follow(token, of: store.bucket)
      operation.continuationToken = token
      next = operation
      return page
    }
  }

  package func makeAsyncIterator() -> Iterator { Iterator(store: store, next: first) }
}
