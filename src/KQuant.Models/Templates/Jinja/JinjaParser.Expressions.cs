using System.Globalization;
using System.Text;

namespace KQuant.Models.Templates;

/// <summary>Expressions, from what binds least to what binds most.</summary>
internal sealed partial class JinjaParser
{
    private Expression Expression()
    {
        Enter();
        int line = Line;
        Expression value = Or();
        while (SkipName("if"))
        {
            Expression test = Or();
            if (!SkipName("else"))
            {
                value = new Conditional(line, test, value, null);
                continue;
            }

            // a if b else (c if d else e)
            Expression otherwise = Expression();
            value = new Conditional(line, test, value, otherwise);
        }

        _depth--;
        return value;
    }

    private Expression Or()
    {
        Expression left = And();
        while (Current.IsName("or"))
        {
            int line = Take().Line;
            left = new BinaryExpression(line, "or", left, And());
        }

        return left;
    }

    private Expression And()
    {
        Expression left = Not();
        while (Current.IsName("and"))
        {
            int line = Take().Line;
            left = new BinaryExpression(line, "and", left, Not());
        }

        return left;
    }

    private Expression Not()
    {
        if (!Current.IsName("not"))
        {
            return Compare();
        }

        Enter();
        int line = Take().Line;
        Expression operand = Not();
        _depth--;
        return new Unary(line, "not", operand);
    }

    private Expression Compare()
    {
        int line = Line;
        Expression first = Sum();
        var rest = new List<(string, Expression)>();
        while (true)
        {
            if (Current.Kind == TokenKind.Operator && Current.Text is "==" or "!=" or "<" or ">" or "<=" or ">=")
            {
                string sign = Take().Text;
                rest.Add((sign, Sum()));
            }
            else if (SkipName("in"))
            {
                rest.Add(("in", Sum()));
            }
            else if (Current.IsName("not") && _tokens[_at + 1].IsName("in"))
            {
                _at += 2;
                rest.Add(("not in", Sum()));
            }
            else
            {
                return rest.Count == 0 ? first : new Comparison(line, first, rest);
            }
        }
    }

    private Expression Sum()
    {
        Expression left = Concatenate();
        while (Current.IsOperator("+") || Current.IsOperator("-"))
        {
            JinjaToken sign = Take();
            left = new BinaryExpression(sign.Line, sign.Text, left, Concatenate());
        }

        return left;
    }

    private Expression Concatenate()
    {
        int line = Line;
        var parts = new List<Expression> { Product() };
        while (SkipOperator("~"))
        {
            parts.Add(Product());
        }

        return parts.Count == 1 ? parts[0] : new Concatenation(line, parts);
    }

    private Expression Product()
    {
        Expression left = Power();
        while (Current.Kind == TokenKind.Operator && Current.Text is "*" or "/" or "//" or "%")
        {
            JinjaToken sign = Take();
            left = new BinaryExpression(sign.Line, sign.Text, left, Power());
        }

        return left;
    }

    private Expression Power()
    {
        Expression left = Unary();
        while (Current.IsOperator("**"))
        {
            JinjaToken sign = Take();
            left = new BinaryExpression(sign.Line, sign.Text, left, Unary());
        }

        return left;
    }

    private Expression Unary(bool withFilter = true, bool withCalls = true)
    {
        Enter();
        Expression value;
        if (Current.IsOperator("-") || Current.IsOperator("+"))
        {
            JinjaToken sign = Take();
            value = new Unary(sign.Line, sign.Text, Unary(withFilter: false));
        }
        else
        {
            value = Primary();
        }

        value = Postfix(value, withCalls);
        value = withFilter ? FiltersAndTests(value) : value;
        _depth--;
        return value;
    }

    private Expression Primary()
    {
        JinjaToken token = Current;
        switch (token.Kind)
        {
            case TokenKind.Name:
                _at++;
                switch (token.Text)
                {
                    case "true" or "True": return new Constant(token.Line, true);
                    case "false" or "False": return new Constant(token.Line, false);
                    case "none" or "None": return new Constant(token.Line, null);
                    default:
                        _namesRead.Add(token.Text);
                        _allNames.Add(token.Text);
                        return new Variable(token.Line, token.Text);
                }

            case TokenKind.String:
                var text = new StringBuilder();
                while (Current.Kind == TokenKind.String)
                {
                    text.Append(Take().Text);
                }

                string constant = text.ToString();
                _texts.Add(constant);
                return new Constant(token.Line, constant);
            case TokenKind.Integer:
                _at++;
                return new Constant(token.Line, ParseInteger(token.Text));
            case TokenKind.Float:
                _at++;
                return new Constant(
                    token.Line, double.Parse(token.Text.Replace("_", "", StringComparison.Ordinal), NumberStyles.Float, CultureInfo.InvariantCulture));
            case TokenKind.Operator when token.Text == "(":
                _at++;
                Expression inner = Tuple(isParenthesized: true);
                ExpectOperator(")");
                return inner;
            case TokenKind.Operator when token.Text == "[":
                _at++;
                return List(token.Line);
            case TokenKind.Operator when token.Text == "{":
                _at++;
                return Dict(token.Line);
            default:
                throw Error($"unexpected {token.Describe()}");
        }
    }

    private ListDisplay List(int line)
    {
        var items = new List<Expression>();
        while (!Current.IsOperator("]"))
        {
            if (items.Count > 0)
            {
                ExpectOperator(",");
                if (Current.IsOperator("]"))
                {
                    break;
                }
            }

            items.Add(Expression());
        }

        ExpectOperator("]");
        return new ListDisplay(line, items, isTuple: false);
    }

    private DictDisplay Dict(int line)
    {
        var items = new List<(Expression, Expression)>();
        while (!Current.IsOperator("}"))
        {
            if (items.Count > 0)
            {
                ExpectOperator(",");
                if (Current.IsOperator("}"))
                {
                    break;
                }
            }

            Expression key = Expression();
            ExpectOperator(":");
            items.Add((key, Expression()));
        }

        ExpectOperator("}");
        return new DictDisplay(line, items);
    }

    /// <summary>One expression, or several with commas between.</summary>
    private Expression Tuple(bool withConditional = true, bool isParenthesized = false, string? end = null)
    {
        int line = Line;
        var items = new List<Expression>();
        bool isTuple = false;
        while (true)
        {
            if (items.Count > 0)
            {
                if (!SkipOperator(","))
                {
                    break;
                }

                isTuple = true;
            }

            if (Current.Kind is TokenKind.BlockEnd or TokenKind.VariableEnd || Current.IsOperator(")") || (end is not null && Current.IsName(end)))
            {
                break;
            }

            items.Add(withConditional ? Expression() : Or());
        }

        if (!isTuple && items.Count == 1)
        {
            return items[0];
        }

        return items.Count > 0 || isParenthesized
            ? new ListDisplay(line, items, isTuple: true)
            : throw Error($"expected an expression, got {Current.Describe()}");
    }

    private Expression Postfix(Expression value, bool withCalls)
    {
        while (Current.Kind == TokenKind.Operator)
        {
            if (Current.Text == ".")
            {
                _at++;
                JinjaToken name = Take();
                value = name.Kind switch
                {
                    TokenKind.Name => new MemberExpression(name.Line, value, name.Text),
                    TokenKind.Integer => new Subscript(name.Line, value, new Constant(name.Line, ParseInteger(name.Text))),
                    _ => throw Error($"expected name or number, got {name.Describe()}"),
                };
            }
            else if (Current.Text == "[")
            {
                value = Index(value);
            }
            else if (Current.Text == "(" && withCalls)
            {
                int line = Line;
                value = new Call(line, value, Arguments());
            }
            else
            {
                break;
            }
        }

        return value;
    }

    private Expression Index(Expression value)
    {
        int line = Take().Line;
        var indexes = new List<Expression>();
        Expression? Bound() => Current.IsOperator(":") || Current.IsOperator("]") || Current.IsOperator(",") ? null : Expression();
        Expression? start = Bound();
        if (SkipOperator(":"))
        {
            Expression? stop = Bound();
            Expression? step = SkipOperator(":") ? Bound() : null;
            ExpectOperator("]");
            return new SliceExpression(line, value, start, stop, step);
        }

        indexes.Add(start ?? throw Error("expected subscript expression"));
        while (SkipOperator(","))
        {
            indexes.Add(Expression());
        }

        ExpectOperator("]");
        return new Subscript(line, value, indexes.Count == 1 ? indexes[0] : new ListDisplay(line, indexes, isTuple: true));
    }

    private ArgumentList Arguments()
    {
        ExpectOperator("(");
        var arguments = new ArgumentList();
        bool first = true;
        while (!Current.IsOperator(")"))
        {
            if (!first)
            {
                ExpectOperator(",");
                if (Current.IsOperator(")"))
                {
                    break;
                }
            }

            first = false;
            if (SkipOperator("*"))
            {
                arguments.Starred = Expression();
            }
            else if (SkipOperator("**"))
            {
                arguments.DoubleStarred = Expression();
            }
            else if (Current.Kind == TokenKind.Name && _tokens[_at + 1].IsOperator("="))
            {
                string name = Take().Text;
                _at++;
                arguments.Named.Add((name, Expression()));
            }
            else if (arguments.Named.Count > 0)
            {
                throw Error("invalid syntax for function call expression");
            }
            else
            {
                arguments.Positional.Add(Expression());
            }
        }

        ExpectOperator(")");
        return arguments;
    }

    private Expression FiltersAndTests(Expression value)
    {
        while (true)
        {
            if (Current.IsOperator("|"))
            {
                value = Filters(value)!;
            }
            else if (Current.IsName("is"))
            {
                value = Test(value);
            }
            else if (Current.IsOperator("("))
            {
                int line = Line;
                value = new Call(line, value, Arguments());
            }
            else
            {
                return value;
            }
        }
    }

    /// <summary>A filter and those behind it. Without a value, the first has no bar before it when it is a tag's.</summary>
    private FilterCall? Filters(Expression? value)
    {
        FilterCall? filter = null;
        while (Current.IsOperator("|") || (value is null && filter is null && Current.Kind == TokenKind.Name))
        {
            SkipOperator("|");
            JinjaToken name = Expect(TokenKind.Name);
            string full = name.Text;
            while (SkipOperator("."))
            {
                full += "." + Expect(TokenKind.Name).Text;
            }

            ArgumentList arguments = Current.IsOperator("(") ? Arguments() : new ArgumentList();
            filter = new FilterCall(name.Line, filter ?? value, full, arguments);
        }

        return filter;
    }

    private TestCall Test(Expression value)
    {
        int line = Take().Line;
        bool negated = SkipName("not");
        string name = Expect(TokenKind.Name).Text;
        while (SkipOperator("."))
        {
            name += "." + Expect(TokenKind.Name).Text;
        }

        var arguments = new ArgumentList();
        if (Current.IsOperator("("))
        {
            arguments = Arguments();
        }
        else if ((Current.Kind is TokenKind.Name or TokenKind.String or TokenKind.Integer or TokenKind.Float
            || Current.IsOperator("(") || Current.IsOperator("[") || Current.IsOperator("{"))
            && !(Current.Kind == TokenKind.Name && Current.Text is "else" or "or" or "and"))
        {
            if (Current.IsName("is"))
            {
                throw Error("tests with 'is' cannot be chained");
            }

            arguments.Positional.Add(Postfix(Primary(), withCalls: true));
        }

        return new TestCall(line, value, name, arguments, negated);
    }
}
