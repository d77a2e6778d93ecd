using System.Reflection;
using System.Reflection.Emit;
using Chatterbox.Ops;
using Chatterbox.T3.Blocks;
using Chatterbox.Voices;

namespace Chatterbox.Tests.Ops;

public class ArithmeticTests
{
    private const int Calls = 200_000;

    [Fact]
    public void A_number_lives_until_libtorch_has_read_it()
    {
        using var scope = NewDisposeScope();
        var x = linspace(-1, 1, 16);
        var mask = x > x.narrow(0, 7, 1);
        var indices = tensor([2L, 5L]);
        Func<Tensor, Tensor>[] operations =
        [
            y => y.Add(y),
            y => y.Add(1.5),
            y => y.Sub(0.25),
            y => y.Mul(3),
            y => y.Div(7),
            y => y.Square(),
            y => y.Remainder(0.3),
            y => y.ClampMin(-0.5),
            y => y.ClampMax(0.5),
            y => y.Clamp(-0.5, 0.5),
            y => y.Lt(0),
            y => y.Le(0),
            y => y.Gt(0.5),
            y => y.MaskedFill(mask, -3),
            y => y.clone().Fill(9),
            y => y.clone().IndexFill(0, indices, 4),
            y => y.LeakyRelu(0.1),
            y => y.Elu(),
            y => y.Mish(),
            y => y.MulAdd(y, y),
            _ => Arithmetic.Range(2, 18),
            y => y.abs().Pow(0.85),
        ];
        var expected = operations.Select(operation => operation(x).to(ScalarType.Float32).data<float>().ToArray()).ToArray();

        using var finished = new CancellationTokenSource();
        var collector = new Thread(() =>
        {
            while (!finished.IsCancellationRequested)
            {
                GC.Collect(0);
                GC.WaitForPendingFinalizers();
            }
        });
        collector.Start();
        try
        {
            for (var call = 0; call < Calls; call++)
            {
                using var inner = NewDisposeScope();
                var operation = call % operations.Length;
                Assert.Equal(expected[operation], operations[operation](x).to(ScalarType.Float32).data<float>().ToArray());
            }
        }
        finally
        {
            finished.Cancel();
            collector.Join();
        }
    }

    [Theory]
    [InlineData(-30f), InlineData(-1f), InlineData(0f), InlineData(0.5f), InlineData(19f), InlineData(40f)]
    public void Mish_is_what_it_is_called(float x)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(x * Math.Tanh(Math.Log(1 + Math.Exp(x))), tensor(x).Mish().item<float>(), 1e-6 * Math.Max(1, Math.Abs(x)));
    }

    /// <summary>The rule that keeps the fault away: whatever makes a <see cref="Scalar"/>, be it within TorchSharp, is called by
    /// <see cref="Arithmetic"/> alone.</summary>
    [Fact]
    public void Only_Arithmetic_hands_numbers_to_libtorch()
    {
        var makers = MakersOfScalars(typeof(torch).Assembly);
        Assert.Contains(makers, maker => maker.Name == "op_Addition");
        Assert.Empty(CallsOf(makers.Contains, except: [typeof(Arithmetic)]));
    }

    /// <summary>The rule that keeps results from following where memory lies: of a tensor in an array's memory, which may begin anywhere,
    /// some
    /// processors' products have other bits than of one in libtorch's.</summary>
    [Fact]
    public void Nothing_is_computed_in_the_memory_of_arrays()
    {
        Type[] except = [typeof(BlockSampler), typeof(VoiceFile)]; // they neither add nor multiply
        Assert.Empty(
            CallsOf(called => called.DeclaringType == typeof(torch) && called.Name == "tensor" && TakesManyFloats(called), except)
        );

        static bool TakesManyFloats(MethodBase method) =>
            method.GetParameters()[0].ParameterType is var type
            && (type.GetElementType() ?? type.GetGenericArguments().FirstOrDefault()) == typeof(float);
    }

    private static IEnumerable<string> CallsOf(Func<MethodBase, bool> isWanted, params Type[] except) =>
        from method in Methods(typeof(Arithmetic).Assembly)
        where !except.Contains(method.DeclaringType)
        from called in Called(method)
        where isWanted(called)
        select $"{method.DeclaringType}.{method.Name} calls "
            + $"{called.DeclaringType!.Name}.{called.Name}({string.Join(", ", called.GetParameters().Select(parameter => parameter.ParameterType.Name))})";

    /// <summary>The conversions to Scalar, and all methods of the assembly that use one, or each other.</summary>
    private static HashSet<MethodBase> MakersOfScalars(Assembly assembly)
    {
        var callers = Methods(assembly)
            .SelectMany(method => Called(method).Select(called => (method, called)))
            .ToLookup(call => call.called, call => call.method);
        var makers = Methods(assembly)
            .Where(method =>
                method is MethodInfo { Name: "op_Implicit" or "ToScalar" or "ToBFloat16Scalar", IsStatic: true } made
                && made.ReturnType == typeof(Scalar)
            )
            .ToHashSet();
        var open = new Queue<MethodBase>(makers);
        while (open.TryDequeue(out var maker))
        {
            foreach (var caller in callers[maker].Where(makers.Add))
            {
                open.Enqueue(caller);
            }
        }

        return makers;
    }

    private static IEnumerable<MethodBase> Methods(Assembly assembly)
    {
        const BindingFlags Own =
            BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;
        return LoadableTypes(assembly).SelectMany(type => type.GetMethods(Own).Cast<MethodBase>().Concat(type.GetConstructors(Own)));
    }

    private static IEnumerable<Type> LoadableTypes(Assembly assembly)
    {
        try
        {
            return assembly.GetTypes();
        }
        catch (ReflectionTypeLoadException e)
        {
            return e.Types.OfType<Type>(); // TorchSharp has types of packages that are not here
        }
    }

    private static IEnumerable<MethodBase> Called(MethodBase method)
    {
        var code = method.GetMethodBody()?.GetILAsByteArray() ?? [];
        for (var at = 0; at < code.Length; )
        {
            var operation = OpCodesByValue[code[at] == 0xFE ? (short)(0xFE00 | code[at + 1]) : code[at]];
            at += operation.Size;
            if (operation.OperandType is OperandType.InlineMethod)
            {
                var called = method.Module.ResolveMethod(
                    BitConverter.ToInt32(code, at),
                    method.DeclaringType!.GetGenericArguments(),
                    method.IsGenericMethod ? method.GetGenericArguments() : null
                )!;
                yield return called is MethodInfo { IsGenericMethod: true } generic ? generic.GetGenericMethodDefinition() : called;
            }

            at += operation.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + (4 * BitConverter.ToInt32(code, at)),
                _ => 4,
            };
        }
    }

    private static readonly Dictionary<short, OpCode> OpCodesByValue = typeof(OpCodes)
        .GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!)
        .ToDictionary(operation => operation.Value);
}
