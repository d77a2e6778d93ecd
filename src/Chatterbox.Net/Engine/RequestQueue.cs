namespace Chatterbox.Engine;

/// <summary>
/// Who is served next: clients take turns, a client's requests follow each other where they stand at the same place in line,
/// a turn is one piece or chunk. No threads, no clock, no models.
/// </summary>
/// <typeparam name="TRequest">A request.</typeparam>
internal sealed class RequestQueue<TRequest>
    where TRequest : class
{
    private readonly LinkedList<(string Client, Queue<TRequest> Requests)> _clients = new();

    /// <summary>Requests that are here, begun or not.</summary>
    public int Count { get; private set; }

    /// <summary>Every request, in the order in which their turns come.</summary>
    public IEnumerable<TRequest> All => _clients.SelectMany(c => c.Requests);

    /// <summary>Adds a request behind those of its client; a client that was not here joins at the end of the round.</summary>
    public void Add(string client, TRequest request)
    {
        var known = _clients.FirstOrDefault(c => c.Client == client).Requests;
        if (known is null)
        {
            _clients.AddLast((client, known = new Queue<TRequest>()));
        }

        known.Enqueue(request);
        Count++;
    }

    /// <summary>Takes out the request whose turn it is, or null. Its client's turn is over: the client goes to the end of the round.</summary>
    /// <param name="rank">How far down the line a request stands; equals keep the order of the round, and within a client that
    /// of their coming. Null where it is not to be taken now.</param>
    public TRequest? Take(Func<TRequest, double?> rank)
    {
        LinkedListNode<(string Client, Queue<TRequest> Requests)>? its = null;
        TRequest? next = null;
        double best = double.PositiveInfinity;
        for (var node = _clients.First; node is not null; node = node.Next)
        {
            foreach (var request in node.Value.Requests)
            {
                if (rank(request) is { } at && at < best)
                {
                    (its, next, best) = (node, request, at);
                }
            }
        }

        if (its is null)
        {
            return null;
        }

        _clients.Remove(its);
        Count--;
        var (client, requests) = its.Value;
        if (requests.Count > 1)
        {
            _clients.AddLast((client, new Queue<TRequest>(requests.Where(request => request != next))));
        }

        return next;
    }

    /// <summary>Puts a request that was taken and has more pieces back in front of its client's others.</summary>
    public void PutBack(string client, TRequest request)
    {
        var node = _clients.First;
        while (node is not null && node.Value.Client != client)
        {
            node = node.Next;
        }

        var others = node?.Value.Requests.ToArray() ?? [];
        var queue = new Queue<TRequest>([request, .. others]);
        if (node is null)
        {
            _clients.AddLast((client, queue));
        }
        else
        {
            node.Value = (client, queue);
        }

        Count++;
    }

    /// <summary>Takes out every request for which <paramref name="leaves"/> holds.</summary>
    public List<TRequest> RemoveWhere(Func<TRequest, bool> leaves)
    {
        var gone = All.Where(leaves).ToList();
        for (var node = _clients.First; node is not null;)
        {
            var next = node.Next;
            node.Value = (node.Value.Client, new Queue<TRequest>(node.Value.Requests.Where(r => !gone.Contains(r))));
            if (node.Value.Requests.Count == 0)
            {
                _clients.Remove(node);
            }

            node = next;
        }

        Count -= gone.Count;
        return gone;
    }
}
